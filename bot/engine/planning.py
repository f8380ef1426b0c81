"""What a step of a batch computes: which tokens of which rows, and what each of them sees. Imports torch."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from bot.engine.attention import Plan, Span
from bot.engine.tasks import Row


class Chunk(NamedTuple):
    """The next `size` tokens of a row; `single` where it has no others."""

    row: Row
    size: int

    @property
    def single(self) -> bool:
        """Say whether it is the row's only pending token."""
        return self.size == 1 and self.row.pending == 1

    @property
    def wanted(self) -> range:
        """Return which of its tokens logits are wanted of, counted from its first."""
        return range(min(self.size, max(0, self.row.wanted - self.row.computed)), self.size)


def choose(rows: Sequence[Row], budget: int) -> list[Chunk]:
    """Choose the chunks of a step: every single token, in the slots' order, then `budget` tokens of the others."""
    chunks = [Chunk(row, 1) for row in sorted(rows, key=lambda row: row.slot) if row.pending == 1]
    for row in (row for row in rows if row.pending > 1):
        if budget > 0:
            chunks.append(Chunk(row, min(row.pending, budget)))
            budget -= chunks[-1].size
    return chunks


def plan(chunks: Sequence[Chunk], kept: torch.Tensor) -> Plan:
    """Plan the attention of `chunks`, singles first, over the slots `kept`."""
    device = kept.device
    singles = [chunk.row for chunk in chunks if chunk.single]
    slots = [row.slot for row, size in chunks for _ in range(size)]
    positions = [row.computed + at for row, size in chunks for at in range(size)]
    spans, start = [], len(singles)
    for row, size in chunks[len(singles) :]:
        stop = row.computed + size
        own = torch.arange(row.computed, stop, device=device).unsqueeze(1)
        spans.append(Span(start, start + size, row.slot, torch.arange(stop, device=device) <= own))
        start += size
    return Plan(
        kept,
        torch.tensor(slots, dtype=torch.long, device=device),
        torch.tensor(positions, dtype=torch.long, device=device),
        len(singles),
        _mask(singles, device) if singles else None,
        tuple(spans),
    )


def _mask(singles: Sequence[Row], device: torch.device) -> torch.Tensor:
    """Return (high, 1, 1, seen), True up to each row's own token."""
    own = torch.zeros(singles[-1].slot + 1, dtype=torch.long)
    for row in singles:
        own[row.slot] = row.computed
    # A slot without a token sees its first position: a softmax over nothing would be NaN.
    return (torch.arange(int(own.max()) + 1) <= own.unsqueeze(1))[:, None, None].to(device)
