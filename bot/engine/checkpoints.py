"""Checkpoints: a base, with or without an adapter, joined to its tokenizer, format and characters.

Imports torch: everything on the way to the first prompt imports this module late.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM

from bot.engine.bases import EMBEDDED, Base, BaseError, Tell, find_base
from bot.engine.int8 import add_int8
from bot.engine.merging import MergedWeights
from bot.engine.precision import PrecisionError, choose_precision
from bot.engine.shipped import checkpoint_folder
from bot.engine.tokenizer import HubTokenizer
from persona.card import BaseCard, Card, CardError, read_card
from persona.characters import Persona, friends
from persona.screenplay import FORMATS, FormatError, Screenplay, TextTokenizer, fits, format_for

if TYPE_CHECKING:
    from bot.engine.adapters import Adapters

ADAPTER = "adapter_model.safetensors"


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged or does not fit its base, in one sentence."""


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A model in eval mode on `device`, and what is needed to talk to it.

    `card` is None and `notice` a line for people where the untouched base talks. `adapters` are
    those kept beside the merged one, None where there are none, and `adapter_of` says by persona's
    id which of them speaks; for who is not in it, the merged one does.
    """

    model: Any
    device: torch.device
    screenplay: Screenplay
    personas: tuple[Persona, ...]
    name: str
    card: Card | None = None
    notice: str | None = None
    adapters: "Adapters | None" = None
    adapter_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def tokenizer(self) -> TextTokenizer:
        """Return the tokenizer of the screenplay."""
        return self.screenplay.tokenizer


def load_checkpoint(  # noqa: PLR0913 - what to load, and keyword-only settings with a default each
    folder: Path | None,
    *,
    cache: Path,
    device: str = "auto",
    precision: str = "auto",
    beside: Sequence[Path] = (),
    base: str = EMBEDDED,
    tell: Tell = lambda line: None,
) -> LoadedCheckpoint:
    """Load a checkpoint folder, or the untouched `base` where `folder` is None.

    An adapter is merged into its base. The adapters in the folders `beside` are kept unmerged, each
    to speak for the characters of its card. `precision` is "auto" or one that `choose_precision`
    knows. `tell` gets a sentence when something takes long. Raises CheckpointError in one sentence.
    """
    try:
        target = choose_device(device)
        chosen = choose_precision(target, cache, precision)
        where = _Where(target, chosen.dtype, cache)
        if folder is None and not beside:
            loaded = _untouched(find_base(base, cache, tell), target, chosen.dtype)
        else:
            loaded = _loaded(folder, beside, lambda name: find_base(name, cache, tell), where)
        if chosen.int8:
            add_int8(loaded.model)
        return loaded
    except (BaseError, CardError, FormatError, PrecisionError) as error:
        raise CheckpointError(str(error)) from error


class _Where(NamedTuple):
    device: torch.device
    dtype: torch.dtype
    cache: Path


def _loaded(
    folder: Path | None, beside: Sequence[Path], base_of: Callable[[str], Base], where: _Where
) -> LoadedCheckpoint:
    if folder is None:
        raise CheckpointError("adapters are kept beside the one that MODEL names: set MODEL to the first of them")
    first, *others = (_Found(one, read_card(one)) for one in map(checkpoint_folder, (folder, *beside)))
    return _taught(first, others, base_of, where)


def choose_device(device: str) -> torch.device:
    """Return the device named, or for "auto" the GPU where there is one; raises CheckpointError."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"the device {device!r} cannot be used here; set DEVICE to 'auto' or 'cpu'") from error
    return chosen


def load_base_model(base: Base, dtype: torch.dtype) -> Any:
    """Load a base's weights on the CPU; raises CheckpointError where they are damaged or not all there."""
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base.folder,
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors, transformers and torch each raise their own
        raise CheckpointError(f"the weights in {base.folder} cannot be loaded ({type(error).__name__})") from error
    model, found = loaded
    if missing := sorted(found["missing_keys"]):  # transformers would draw them at random
        raise CheckpointError(f"the weights in {base.folder} are incomplete: {missing[0]} is missing")
    return model


def load_screenplay(folder: Path, format_name: str | None = None) -> Screenplay:
    """Bind the tokenizer in `folder` to the named format, or to the one that fits it."""
    try:
        tokenizer = HubTokenizer.load(folder)
    except Exception as error:  # transformers and tokenizers each raise their own
        raise CheckpointError(f"the tokenizer in {folder} cannot be loaded ({type(error).__name__})") from error
    if format_name is not None and format_name not in FORMATS:
        raise CheckpointError(f"{folder} was taught in the format {format_name!r}, which this program does not know")
    return Screenplay(FORMATS[format_name] if format_name else format_for(tokenizer), tokenizer)


def _untouched(base: Base, device: torch.device, dtype: torch.dtype) -> LoadedCheckpoint:
    screenplay = load_screenplay(base.folder)
    model = load_base_model(base, dtype).to(device).eval()
    notice = f"No adapter is trained yet: this is the untouched base {base.card.name} in the character's format."
    return LoadedCheckpoint(model, device, screenplay, friends(), base.card.name, notice=notice)


class _Found(NamedTuple):
    folder: Path
    card: Card


def _taught(first: _Found, others: Sequence[_Found], base_of: Callable[[str], Base], where: _Where) -> LoadedCheckpoint:
    device, dtype, cache = where
    folder, card = first
    adapters = None
    if card.kind == "full":
        if others:
            raise CheckpointError(f"{folder} holds whole weights, and adapters can be kept beside an adapter only")
        base = Base(BaseCard(card.base.name, card.base.sha256), folder)
        model = load_base_model(base, dtype)
    else:
        base = base_of(card.base.name)
        for one in (first, *others):
            _check_adapter(one, base.card, card.format)
        if others:
            adapters = _merged_beside(load_base_model(base, dtype).to(device), folder, others)
        model = adapters.model if adapters else _merged_once(base, folder, dtype, cache)
    screenplay = load_screenplay(base.folder, card.format)
    if not fits(screenplay.format, screenplay.tokenizer):
        raise CheckpointError(f"{folder} was taught in the format {card.format!r}, which does not fit its base")
    name = f"{card.base.name}+{folder.name}"
    loaded = LoadedCheckpoint(model.to(device).eval(), device, screenplay, card.characters, name, card)
    if adapters is None:
        return loaded
    speaks = {persona.id: str(folder) for folder, card in others for persona in card.characters}
    personas = {persona.id: persona for _, card in (first, *others) for persona in card.characters}
    return replace(loaded, personas=tuple(personas.values()), adapters=adapters, adapter_of=speaks)


def _check_adapter(found: _Found, base: BaseCard, format_name: str) -> None:
    folder, card = found
    if card.kind == "full":
        raise CheckpointError(f"{folder} holds whole weights: it cannot be kept beside an adapter")
    if not (folder / ADAPTER).is_file():
        raise CheckpointError(f"{folder} has no {ADAPTER}: the checkpoint is incomplete")
    if base.sha256 != card.base.sha256:
        raise CheckpointError(
            f"the adapter in {folder} belongs to another base: its card names {card.base.name} with the "
            f"checksum {card.base.sha256[:12]}, the one here has {base.sha256[:12]}"
        )
    if card.format != format_name:
        raise CheckpointError(f"the adapter in {folder} was taught in the format {card.format!r}, not {format_name!r}")


def merged(model: Any, folder: Path) -> Any:
    """Merge the adapter in `folder` into `model`; the base path it records is never followed."""
    if not (folder / ADAPTER).is_file():
        raise CheckpointError(f"{folder} has no {ADAPTER}: the checkpoint is incomplete")
    from bot.engine.adapters import merge  # noqa: PLC0415 - loads peft, which the untouched base does not need

    try:
        return merge(model, folder)
    except Exception as error:  # safetensors, peft and torch each raise their own
        raise CheckpointError(f"the adapter in {folder} cannot be loaded ({type(error).__name__})") from error


def _merged_once(base: Base, folder: Path, dtype: torch.dtype, cache: Path) -> Any:
    """Return the base with the adapter merged, from the cache where it was merged before."""
    if not (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{folder} has no adapter_config.json: the checkpoint is incomplete")
    kept = MergedWeights(base, folder, dtype, cache)
    model = kept.load(lambda found: load_base_model(found, dtype))
    if model is None:
        model = merged(load_base_model(base, dtype), folder)
        kept.keep(model)
    return model


def _merged_beside(model: Any, folder: Path, others: Sequence[_Found]) -> "Adapters":
    from bot.engine.adapters import merge_beside  # noqa: PLC0415 - likewise

    try:
        return merge_beside(model, folder, {str(one.folder): one.folder for one in others})
    except Exception as error:  # likewise
        names = ", ".join(str(one.folder) for one in others)
        raise CheckpointError(f"{folder} and {names} cannot be served together ({type(error).__name__})") from error
