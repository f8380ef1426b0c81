"""Write a checkpoint that the bot can load: weights as safetensors, tokenizer, card, hashes of the training lines."""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from bot.engine.bases import EMBEDDED_REPO, Base
from bot.engine.checkpoints import ADAPTER
from persona.card import Card
from persona.characters import Persona
from persona.copied import CopiedLines
from persona.harmless import harmless_name
from persona.screenplay import Screenplay
from training.mixture import Part
from training.report.modelcard import write_model_card


@dataclass(frozen=True, slots=True)
class Exporter:
    """What every checkpoint of a run has in common.

    `copied` gives the hash set of the training lines, None where they are not known.
    """

    base: Base
    screenplay: Screenplay
    card: Card
    copied: Callable[[], CopiedLines | None] = lambda: None

    def write(self, model: Any, folder: Path, training: Mapping[str, Any], measures: Mapping[str, Any]) -> None:
        """Write `model` (a peft model, or a whole one) into the new `folder`.

        `training` and `measures` go into the card. Adapters are stored in bf16, which halves them
        and costs nothing that can be measured.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if self.card.kind == "adapter":
            model.save_pretrained(folder)
            _shrink(folder / ADAPTER)
            _record_base(folder / "adapter_config.json", self.base)
            (folder / "README.md").unlink(missing_ok=True)
        else:
            model.save_pretrained(folder)
        tokenizer: Any = self.screenplay.tokenizer
        speaker = harmless_name(self.card.characters[0].name, tokenizer.controls)
        template = self.screenplay.format.chat_template(speaker, tokenizer.eos)
        tokenizer.wrapped.chat_template = template
        tokenizer.wrapped.save_pretrained(folder)
        _forget_place(folder / "tokenizer_config.json")
        copied = self.copied()
        if copied is not None:
            copied.write(folder)
        training = {**self.card.training, **training}
        replace(self.card, training=training, measures=measures).write(folder)
        write_model_card(folder)


def _shrink(file: Path) -> None:
    weights = load_file(file)
    save_file({key: one.to(torch.bfloat16).contiguous() for key, one in weights.items()}, file, {"format": "pt"})


def _forget_place(file: Path) -> None:
    """Drop how the tokenizer was loaded here; transformers writes it down."""
    config = json.loads(file.read_text(encoding="utf-8"))
    kept = {key: value for key, value in config.items() if key not in ("is_local", "local_files_only")}
    file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _record_base(file: Path, base: Base) -> None:
    """Name the base as the hub knows it; peft records the path of this machine's cache."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base.card.repo or base.card.name or EMBEDDED_REPO
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def card_of(
    asked: Mapping[str, Any], base: Base, screenplay: Screenplay, taught: tuple[Sequence[Part], Sequence[Persona]]
) -> Card:
    """Return the card of a run's checkpoints, but for what each of them measured; `asked` is what the run was."""
    parts, personas = [part for part in taught[0] if not part.own], taught[1]
    weights = {} if math.isclose(parts[0].share, 1.0) else {part.name: round(part.share, 4) for part in parts}
    data = tuple(
        {
            "name": part.name,
            "sha256": part.corpus.sha256,
            "scenes": len(part.corpus.scenes),
            "weight": weights.get(part.name, 1.0),
            "taught": "everybody" if part.sampler.taught is None else "characters",
            "split": part.split.to_card(),
        }
        for part in parts
    )
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    return Card(
        base=base.card,
        format=screenplay.format.name,
        kind="full" if asked["full"] else "adapter",
        characters=tuple(personas),
        data=data,
        split=data[0]["split"],  # type: ignore[arg-type]
        training={key: value for key, value in asked.items() if key not in {"corpora", "base"}} | versions,
    )
