"""Slots: where the keys and values of the rows being computed are kept. Imports torch."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from bot.engine.pages import Pages

_MOST = {"cpu": 32, "cuda": 64}


class Slots:
    """`count` slots of `context` positions each, in one tensor (layers, 2, slots, positions, heads, width).

    Memory is touched only as far as a slot was filled: `touched` counts it in bytes.
    """

    def __init__(self, config: Any, context: int, like: torch.Tensor, limit: int) -> None:
        """Make as many slots as fit into three quarters of `limit` bytes, in the dtype and on the device of `like`."""
        heads = config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        shared = getattr(config, "num_key_value_heads", None) or heads
        a_position = config.num_hidden_layers * 2 * shared * width * like.element_size()
        fitting = limit * 3 // 4 // (a_position * context)
        self.count = int(min(max(1, fitting), _MOST.get(like.device.type, _MOST["cpu"])))
        shape = (config.num_hidden_layers, 2, self.count, context, shared, width)
        self._pages = Pages(shape, like)
        self.kept = self._pages.tensor
        self._a_position = a_position
        self._free = list(range(self.count))
        self._filled = [0] * self.count

    @property
    def free(self) -> int:
        """Return how many slots are free."""
        return len(self._free)

    @property
    def touched(self) -> int:
        """Return the bytes that were written and not given back to the system since."""
        return int(sum(self._filled) * self._a_position)

    def take(self) -> int:
        """Take the lowest free slot: the higher ones cost time even where they are empty."""
        self._free.sort()
        return self._free.pop(0)

    def give_back(self, slot: int) -> None:
        """Free a slot."""
        self._free.append(slot)

    def tidy(self) -> None:
        """Give the memory of the free slots back to the system: they may have been filled in a rush hour."""
        for slot in self._free:
            if self._filled[slot]:
                for layer, both in itertools.product(*map(range, self.kept.shape[:2])):
                    self._pages.give_back(layer, both, slot)
                self._filled[slot] = 0

    def fill(self, slot: int, blocks: Sequence[torch.Tensor]) -> int:
        """Begin a slot with blocks of keys and values; return how many positions they are."""
        if not blocks:
            return 0
        known = torch.cat(list(blocks), dim=2)
        self.kept[:, :, slot, : known.shape[2]] = known
        return int(known.shape[2])

    def copy(self, source: int, target: int, length: int) -> None:
        """Let `target` begin as `source` does."""
        self.kept[:, :, target, :length] = self.kept[:, :, source, :length]

    def filled(self, slot: int, length: int) -> None:
        """Remember that `slot` was written up to `length`."""
        self._filled[slot] = max(self._filled[slot], length)

    def view(self, slot: int) -> torch.Tensor:
        """Return what a slot holds, (layers, 2, positions, heads, width)."""
        return self.kept[:, :, slot]
