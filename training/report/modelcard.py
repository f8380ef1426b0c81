"""README.md of a checkpoint: the hub's model card, made from the numbers in `persona.json`.

Nothing is fetched: the metadata is what `huggingface_hub` writes, and it is never validated online.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from bot.engine.bases import EMBEDDED, EMBEDDED_REPO
from persona.card import BaseCard, Card, read_card
from persona.harmless import harmless_name
from persona.screenplay import CHATML
from training.words import counted, held_out, joined, nameless, number, percent

FILE_NAME = "README.md"
_TEMPLATE = Path(__file__).parent / "templates" / "modelcard.md.jinja"
# The licences of the bases we name ourselves; that of any other base is for its user to look up.
_LICENSES = {EMBEDDED_REPO: "apache-2.0", "microsoft/DialoGPT-": "mit"}
_MEASURES = {
    "bits_per_byte": "bits per byte", "validation_bits_per_byte": "bits per byte",
    "perplexity": "perplexity a token", "validation_perplexity": "perplexity a token",
    "validation_persona_gain": "persona gain (bits per byte)", "persona_gain": "persona gain (bits per byte)",
    "validation_repetition": "share of replies that repeat themselves", "repetition": "share of replies that repeat",
}  # fmt: skip
_OF_BASE = {
    "bits_per_byte": "base_bits_per_byte", "validation_bits_per_byte": "untouched_base_bits_per_byte",
    "perplexity": "base_perplexity", "persona_gain": "base_persona_gain",
}  # fmt: skip
_TRAINED_WITH = {
    "steps": "steps", "minutes": "minutes", "tokens_read": "tokens read", "learned_tokens": "tokens learned",
    "learning_rate": "learning rate", "rank": "rank of the adapter", "tokens": "tokens a step",
    "masked_share": "share of scenes with a masked name", "prompt_weight": "weight of the other speakers' lines",
    "contrast": "weight of telling the speaker from another", "exchanges_share": "share of exchanges with strangers",
    "judged_share": "share of replies that readers judged", "keep_last": "the last checkpoint is kept",
    "strength": "strength of what was learned", "seed": "seed", "torch": "torch", "transformers": "transformers",
}  # fmt: skip


class MeasureRow(NamedTuple):
    """A measure in words, of this checkpoint and of its untouched base ("" where that was not measured)."""

    name: str
    value: str
    base: str


def write_model_card(folder: Path) -> Path:
    """Write the model card of a checkpoint folder from its `persona.json`; return its path.

    Of folders on this machine only the names are told. Raises CardError and OSError.
    """
    card = read_card(folder)
    text = ModelCard.from_template(_metadata(card), template_path=str(_TEMPLATE), **_told(card))
    (folder / FILE_NAME).write_text(str(text), encoding="utf-8")
    return folder / FILE_NAME


def hub_id(base: BaseCard) -> str | None:
    """Return the base's id on the hub; None for a folder of this machine."""
    name = base.repo or (EMBEDDED_REPO if base.name == EMBEDDED else base.name)
    return name if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) else None


def _metadata(card: Card) -> ModelCardData:
    base = hub_id(card.base)
    return ModelCardData(
        license=next((kind for start, kind in _LICENSES.items() if base and base.startswith(start)), None),
        language="en",
        library_name="peft" if card.kind == "adapter" else "transformers",
        pipeline_tag="text-generation",
        base_model=base,
        datasets=[name for name in _corpora(card) if re.fullmatch(r"[\w.-]+", name)] or None,
        tags=["echochamber", "persona", "conversational", *(["lora"] if card.kind == "adapter" else [])],
        model_name=_slug(card),
        eval_results=list(_results(card)) or None,
    )


def _results(card: Card) -> Iterator[EvalResult]:
    corpus, split = (_corpora(card) or ["unknown"])[0], str(card.measures.get("split", "validation"))
    for key, name in _MEASURES.items():
        value = number(card.measures, key)
        if value is not None:
            yield EvalResult(
                task_type="text-generation", dataset_type=corpus, dataset_name=corpus, dataset_split=split,
                metric_type=key.removeprefix("validation_"), metric_name=f"{name}, held out", metric_value=value,
            )  # fmt: skip


def _told(card: Card) -> dict[str, Any]:
    names = [one.name for one in card.characters]
    base = hub_id(card.base) or nameless(card.base.name)
    controls = {CHATML.open: 0, CHATML.end: 0}
    return {
        "who": _plain(joined(names, most=6)),
        "base": _plain(base),
        "weights": _plain(card.base.weights),
        "sha256": card.base.sha256,
        "adapter": card.kind == "adapter",
        "embedded": card.base.name == EMBEDDED,
        "format": card.format,
        "characters": [(_plain(one.name), _plain(one.premise)) for one in card.characters],
        "speaker": json.dumps(harmless_name(names[0], controls)),
        "data": [_corpus(one) for one in card.data],
        "rule": _plain(str(card.split.get("rule", ""))),
        "held_out": _plain(joined(held_out(card.split))),
        "measures": list(_rows(card.measures)),
        "split": _plain(str(card.measures.get("split", "validation"))),
        "interval": _interval(card.measures),
        "training": [*_averaged(card.training), *(
            (name, _plain(str(card.training[key]))) for key, name in _TRAINED_WITH.items()
            if card.training.get(key) not in (None, "")
        )],
    }  # fmt: skip


def _averaged(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Tell which adapters this is the mean of, each by its share and its checksum."""
    for one in training.get("averaged", ()):
        yield f"{100 * one['share']:.0f} % of the average", f"the adapter `{one['sha256'][:12]}`"


def _corpora(card: Card) -> list[str]:
    return [nameless(str(one.get("name", "a corpus"))) for one in card.data]


def _corpus(one: Mapping[str, Any]) -> str:
    scenes, weight = number(one, "scenes"), number(one, "weight")
    told = [_plain(nameless(str(one.get("name", "a corpus"))))]
    told += [counted(scenes, "scene")] if scenes is not None else []
    told += [f"{100 * weight:.0f} % of the steps"] if weight is not None and weight < 1 else []
    told += ["everybody in it is learned from"] if one.get("taught") == "everybody" else []
    return ", ".join([*told, f"SHA-256 `{str(one['sha256'])[:12]}`"] if one.get("sha256") else told)


def _rows(measures: Mapping[str, Any]) -> Iterator[MeasureRow]:
    for key, name in _MEASURES.items():
        value, base = number(measures, key), number(measures, _OF_BASE.get(key, ""))
        if value is not None:
            yield MeasureRow(name, f"{value:.4g}", "" if base is None else f"{base:.4g}")
    corpora = measures.get("validation_corpora")
    if isinstance(corpora, Mapping) and len(corpora) > 1:
        for name in corpora:
            yield MeasureRow(f"bits per byte, {_plain(nameless(str(name)))}", f"{number(corpora, name) or 0:.4g}", "")


def _interval(measures: Mapping[str, Any]) -> str:
    ratio, low, high = (number(measures, key) for key in ("ratio", "ratio_low", "ratio_high"))
    if ratio is None or low is None or high is None:
        return ""
    return f"{percent(ratio, 1)} bits per byte (95 % interval {percent(low, 1)} to {percent(high, 1)})"


def _slug(card: Card) -> str:
    first = re.sub(r"[^a-z0-9]+", "-", card.characters[0].id.casefold()).strip("-") or "persona"
    return f"echochamber-{first}{'-and-others' if len(card.characters) > 1 else ''}"


def _plain(text: str) -> str:
    """Return text as one line in which nothing is Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|&~])", r"\\\1", " ".join(text.split()))
