"""Checkpoints: a base, with or without an adapter, joined to its tokenizer, format and characters.

Imports torch: everything on the way to the first prompt imports this module late.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from bot.engine.bases import EMBEDDED, Base, BaseError, Tell, find_base
from bot.engine.precision import choose_precision
from bot.engine.shipped import checkpoint_folder
from bot.engine.tokenizer import HubTokenizer
from persona.card import BaseCard, Card, CardError, read_card
from persona.characters import Persona, friends
from persona.screenplay import FORMATS, FormatError, Screenplay, TextTokenizer, format_for

ADAPTER = "adapter_model.safetensors"


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged or does not fit its base, in one sentence."""


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A model in eval mode on `device`, and what is needed to talk to it.

    `card` is None and `notice` a line for people where the untouched base talks.
    """

    model: Any
    device: torch.device
    screenplay: Screenplay
    personas: tuple[Persona, ...]
    name: str
    card: Card | None = None
    notice: str | None = None

    @property
    def tokenizer(self) -> TextTokenizer:
        """Return the tokenizer of the screenplay."""
        return self.screenplay.tokenizer


def load_checkpoint(
    folder: Path | None, *, cache: Path, device: str = "auto", tell: Tell = lambda line: None
) -> LoadedCheckpoint:
    """Load a checkpoint folder, or the untouched embedded base where `folder` is None.

    An adapter is merged into its base. `tell` gets a sentence when something takes long. Raises
    CheckpointError in one sentence.
    """
    try:
        target = choose_device(device)
        dtype = choose_precision(target, cache).dtype
        if folder is None:
            return _untouched(find_base(EMBEDDED, cache, tell), target, dtype)
        folder = checkpoint_folder(folder)
        card = read_card(folder)
        return _taught(folder, card, lambda: find_base(card.base.name, cache, tell), (target, dtype))
    except (BaseError, CardError, FormatError) as error:
        raise CheckpointError(str(error)) from error


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


def _taught(
    folder: Path, card: Card, base_of: Callable[[], Base], where: tuple[torch.device, torch.dtype]
) -> LoadedCheckpoint:
    device, dtype = where
    if card.kind == "full":
        base = Base(BaseCard(card.base.name, card.base.sha256), folder)
        model = load_base_model(base, dtype)
    else:
        base = base_of()
        if base.card.sha256 != card.base.sha256:
            raise CheckpointError(
                f"the adapter in {folder} belongs to another base: its card names {card.base.name} with the "
                f"checksum {card.base.sha256[:12]}, the one here has {base.card.sha256[:12]}"
            )
        model = merged(load_base_model(base, dtype), folder)
    screenplay = load_screenplay(base.folder, card.format)
    if screenplay.format is not format_for(screenplay.tokenizer):
        raise CheckpointError(f"{folder} was taught in the format {card.format!r}, which does not fit its base")
    return LoadedCheckpoint(
        model.to(device).eval(), device, screenplay, card.characters, f"{card.base.name}+{folder.name}", card
    )


def merged(model: Any, folder: Path) -> Any:
    """Merge the adapter in `folder` into `model`; the base path it records is never followed."""
    if not (folder / ADAPTER).is_file():
        raise CheckpointError(f"{folder} has no {ADAPTER}: the checkpoint is incomplete")
    from peft import PeftModel  # noqa: PLC0415 - the untouched base needs no peft

    try:
        with quiet_peft():
            return PeftModel.from_pretrained(model, str(folder), local_files_only=True).merge_and_unload()
    except Exception as error:  # safetensors, peft and torch each raise their own
        raise CheckpointError(f"the adapter in {folder} cannot be loaded ({type(error).__name__})") from error


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Silence the one warning that peft 0.21 draws from transformers 5.23 in every model it wraps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
