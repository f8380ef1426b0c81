"""Draw the next tokens of many rows at once, each with its own sampling and random generator. Imports torch."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from bot.engine.protocol import Sampling

_LIKELIEST = 128


class Draw(NamedTuple):
    """How a row draws; its generator is on the CPU, so that a seed means the same on every device."""

    sampling: Sampling
    generator: torch.Generator


class Drawn(NamedTuple):
    """A token, and its natural log-probability under the model's own distribution."""

    token: int
    logprob: float


def draw(logits: torch.Tensor, rows: Sequence[Draw]) -> list[Drawn]:
    """Draw a token for each row of `logits` (R, V).

    Top-p keeps the likeliest tokens up to and with the one that reaches the share (Holtzman et al.,
    2020), min-p those at least so likely as that share of the likeliest (Nguyen et al., 2024); where
    both are asked for, both must hold. A temperature of 0 takes the likeliest.
    """
    logits = logits.float()
    luck = torch.tensor([torch.rand((), generator=one.generator).item() for one in rows], device=logits.device)
    tokens, sure = _picked(logits, rows, luck, min(_LIKELIEST, logits.shape[1]))
    if not sure.all():  # what may be drawn does not end among the likeliest: look at all of it
        unsure = (~sure).nonzero().squeeze(1)
        some = [rows[at] for at in unsure.tolist()]
        tokens[unsure] = _picked(logits[unsure], some, luck[unsure], logits.shape[1])[0]
    logprobs = logits.gather(1, tokens.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)
    return [Drawn(int(token), logprob) for token, logprob in zip(tokens.tolist(), logprobs.tolist(), strict=True)]


def draw_again(logits: torch.Tensor, row: Draw, but: Sequence[int]) -> Drawn:
    """Draw another token for one row of `logits` (V), none of `but`; its log-probability is as for any token."""
    without = logits.float().clone()
    without[list(but)] = -torch.inf
    [drawn] = draw(without.unsqueeze(0), [row])
    return Drawn(drawn.token, float(logits[drawn.token].float() - logits.float().logsumexp(dim=0)))


def new_generator(seed: int, number: int) -> torch.Generator:
    """Return the generator of a request's candidate `number`: the same whatever is drawn beside it."""
    return torch.Generator().manual_seed((seed + number * 0x9E3779B97F4A7C15) % 2**63)


def _picked(
    logits: torch.Tensor, rows: Sequence[Draw], luck: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pick among the `count` likeliest by `luck` (R,), from 0 to 1; say for which rows the others don't matter."""

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, device=logits.device).unsqueeze(1)

    heats = column([one.sampling.temperature or 1.0 for one in rows])
    greedy = column([float(one.sampling.temperature == 0) for one in rows]).bool()
    values, tokens = logits.topk(count, dim=1)
    shares = (values / heats - (logits / heats).logsumexp(dim=1, keepdim=True)).exp()
    below = shares.cumsum(dim=1) - shares
    kept = below < column([one.sampling.top_p for one in rows])
    kept &= shares >= column([one.sampling.min_p for one in rows]) * shares[:, :1]
    kept[:, 1:] &= ~greedy
    kept[:, 0] = True
    reached = torch.where(kept, shares, 0.0).cumsum(dim=1)
    at = (reached <= luck.unsqueeze(1) * reached[:, -1:]).sum(dim=1).clamp(max=count - 1)
    at = torch.minimum(at, kept.sum(dim=1) - 1)  # the shares may add up to a little less than luck
    sure = ~kept[:, -1] if count < logits.shape[1] else torch.ones_like(kept[:, -1])
    return tokens.gather(1, at.unsqueeze(1)).squeeze(1), sure
