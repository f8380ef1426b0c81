"""Merged weights, kept in the cache: the next start reads them, and needs neither the base's weights nor peft.

Imports torch.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from bot import logs
from bot.engine.bases import SAFETENSORS, Base, BaseError, made_once, sha256_of

KEPT = 3
_LARGEST = 2 * 2**30  # bytes: a copy of a larger model is worth more as room on the disk
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")

_log = logs.logger("checkpoints")


class MergedWeights:
    """The weights of one base with one adapter merged, in one dtype: a folder below `cache`, whole or absent."""

    def __init__(self, base: Base, adapter: Path, dtype: torch.dtype, cache: Path) -> None:
        parts = (base.card.sha256, *(sha256_of(adapter / name) for name in _ADAPTER_FILES), str(dtype))
        self.folder = cache / "merged" / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        self._card = base.card

    def load(self, load: Callable[[Base], Any]) -> Any | None:
        """Return what `load` makes of the folder; None where there is none, or it is damaged, which removes it."""
        if not (self.folder / SAFETENSORS).is_file():
            return None
        try:
            model = load(Base(self._card, self.folder))
        except Exception as error:  # whatever is wrong with a copy, the original is there
            _log.warning("merged weights are damaged and made again", error=type(error).__name__)
            shutil.rmtree(self.folder, ignore_errors=True)
            return None
        with suppress(OSError):
            os.utime(self.folder)
        return model

    def keep(self, model: Any) -> None:
        """Keep a merged model beside the last ones; without room on the disk, or for a large model, nothing is kept."""
        if sum(one.nbytes for one in model.parameters()) > _LARGEST:
            return
        try:
            made_once(self.folder, model.save_pretrained)
            _drop_all_but(KEPT, self.folder.parent)
        except (BaseError, OSError) as error:
            _log.warning("merged weights are not kept", error=str(error))


def _drop_all_but(count: int, folder: Path) -> None:
    """Remove those that were not used for the longest time."""
    found = sorted(
        (one for one in folder.iterdir() if not one.name.startswith(".")),
        key=lambda one: one.stat().st_mtime,
        reverse=True,
    )
    for old in found[count:]:
        shutil.rmtree(old, ignore_errors=True)
