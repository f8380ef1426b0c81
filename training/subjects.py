"""Models to be measured: checkpoints and untouched bases, found and checked before any weight is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from bot.engine.bases import Base, find_base
from bot.engine.checkpoints import CheckpointError, load_base_model, load_screenplay, merged
from persona.card import BaseCard, read_card
from persona.dialogue import Turn
from persona.screenplay import Screenplay
from training.windows import window_of


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and its format. `window` is the longest stretch it reads, in tokens; `load` gives it in fp32."""

    screenplay: Screenplay
    window: int
    load: Callable[[], Any]

    def fits(self, turn: Turn) -> bool:
        """Say whether a turn is short enough to be read whole."""
        return len(self.screenplay.turn(turn, learned=False).ids) <= self.window


def checkpoint(folder: Path, cache: Path) -> Subject:
    """Find the checkpoint in `folder`; raises BaseError, CardError, CheckpointError or FormatError."""
    card = read_card(folder)
    if card.kind == "full":
        return untouched(Base(card.base, folder), card.format)
    base = base_of(card.base, cache)
    bare = untouched(base, card.format)
    return Subject(bare.screenplay, bare.window, lambda: merged(bare.load(), folder))


def untouched(base: Base, format_name: str | None = None) -> Subject:
    """Take a base as it is, in the format named or the one that fits it; raises CheckpointError or FormatError."""
    try:
        config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # transformers raises its own and lets others through
        raise CheckpointError(f"the config.json in {base.folder} cannot be read ({type(error).__name__})") from error
    screenplay = load_screenplay(base.folder, format_name)
    return Subject(screenplay, window_of(config), lambda: load_base_model(base, torch.float32))


def base_of(card: BaseCard, cache: Path) -> Base:
    """Find the base that a card names; raises BaseError, or CheckpointError where it is another one by now."""
    base = find_base(card.name, cache)
    if base.card.sha256 != card.sha256:
        raise CheckpointError(
            f"the base {card.name} is another one by now: the card was written for weights with the checksum "
            f"{card.sha256[:12]}, the ones here have {base.card.sha256[:12]}"
        )
    return base
