"""Teacher-forced measures: bits per byte and perplexity of the taught characters' held-out replies."""

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from training.contrast import contrast
from training.preferences import Preferences, preference
from training.stream import collate
from training.windows import Window


@dataclass(frozen=True, slots=True)
class Sums:
    """What was read: nats over `tokens` learned tokens (ends of turn too) of `size` bytes of text."""

    nats: float = 0.0
    tokens: int = 0
    size: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.nats + other.nats, self.tokens + other.tokens, self.size + other.size)

    @property
    def bits_per_byte(self) -> float:
        """Return the bits that one byte of reply costs, which makes tokenizers comparable."""
        return self.nats / math.log(2) / self.size if self.size else math.nan

    @property
    def perplexity(self) -> float:
        """Return the perplexity a token."""
        return math.exp(self.nats / self.tokens) if self.tokens else math.nan


class LearnedLoss(nn.Module):
    """A causal LM that returns the weighted loss of the positions that weigh anything.

    Logits are computed for those positions alone: half of a scene's tokens are never learned, and
    the vocabulary's projection is the largest product of a small model. `contrast` is the weight of
    telling a line's speaker from a rival, where windows have rivals. Where they have judged replies, it
    learns to prefer the good ones.
    """

    def __init__(self, model: Any, contrast: float = 0.0) -> None:
        super().__init__()
        self.model = model
        self.contrast = contrast

    @property
    def core(self) -> Any:
        """Return the causal LM itself, adapters inside."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        weights: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        pairs: torch.Tensor | None = None,
        **preferences: torch.Tensor,
    ) -> torch.Tensor:
        """Return the weighted nats of each position that weighs more than 0, a vector; behind them those of each pair.

        The arguments are those of `training.stream.collate`; a weight is that of predicting the token at its place.
        """
        places = {} if position_ids is None else {"position_ids": position_ids}
        hidden = self.core.get_decoder()(input_ids=input_ids, attention_mask=attention_mask, **places).last_hidden_state
        wanted = weights[:, 1:] > 0
        asked = Preferences(**preferences) if preferences else None
        if pairs is not None:
            wanted = wanted | (pairs[:, 1:] != 0)
        if asked:
            wanted = wanted | (asked.replies[:, 1:] != 0)
        logits = self.core.get_output_embeddings()(hidden[:, :-1][wanted])
        nats = nn.functional.cross_entropy(logits.float(), input_ids[:, 1:][wanted], reduction="none")
        weighted = nats * weights[:, 1:][wanted]
        if asked:
            return torch.cat([weighted, preference(nats, asked._replace(replies=asked.replies[:, 1:][wanted]))])
        if pairs is None:
            return weighted
        return torch.cat([weighted, self.contrast * contrast(nats, pairs[:, 1:][wanted])])


@torch.no_grad()
def read_window(model: LearnedLoss, window: Window, device: torch.device, autocast: torch.dtype | None) -> Sums:
    """Return the sums of one window, read in evaluation mode; the mode is given back."""
    was_training = model.training
    model.eval()
    inputs = {key: value.to(device) for key, value in collate([window]).items()}
    with torch.autocast(device.type, dtype=autocast or torch.float32, enabled=autocast is not None):
        nats = model(**inputs)
    model.train(was_training)
    return Sums(float(nats.double().sum()), nats.numel(), window.learned_bytes)


def by_episode(read: Iterable[tuple[Window, Sums]]) -> dict[str, Sums]:
    """Add windows up by episode, the unit of every interval."""
    totals: dict[str, Sums] = defaultdict(Sums)
    for window, sums in read:
        totals[window.episode] += sums
    return dict(totals)


def total(sums: Iterable[Sums]) -> Sums:
    """Return the sum of all."""
    whole = Sums()
    for one in sums:
        whole += one
    return whole


def bootstrap_ratio(
    ours: Mapping[str, Sums], theirs: Mapping[str, Sums], *, rounds: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of bits per byte ours/theirs, by paired bootstrap over episodes."""
    # The bytes are the same on both sides and cancel out, so plain sums of nats will do.
    pairs = [(ours[episode].nats, theirs[episode].nats) for episode in sorted(ours)]
    draw = random.Random(seed)  # noqa: S311 - statistics, not secrets
    ratios = []
    for _ in range(rounds):
        mine, others = zip(*draw.choices(pairs, k=len(pairs)), strict=True)
        ratios.append(sum(mine) / sum(others))
    cuts = statistics.quantiles(ratios, n=40)
    return cuts[0], cuts[-1]
