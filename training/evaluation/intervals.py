"""How sure a figure is: 95 % intervals by bootstrap over groups of values, which are episodes most often.

The percentile bootstrap of Efron and Tibshirani 1993 ("An Introduction to the Bootstrap"), groups drawn
whole: the lines of one episode are no independent ones. Seeds are fixed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ROUNDS = 10_000
_AT_ONCE = 1000
_ENDS = (0.025, 0.975)

Values = Sequence[float] | Tensor


class Interval(NamedTuple):
    """A value with its 95 % interval; None where it cannot be said, the ends too where there is one group alone."""

    value: float | None
    low: float | None = None
    high: float | None = None


def mean_interval(groups: Sequence[str], values: Values) -> Interval:
    """Return the mean of `values`; each belongs to the group at its place."""
    numbers = torch.as_tensor(values, dtype=torch.float64)
    return ratio_interval(groups, numbers, torch.ones_like(numbers))


def ratio_interval(groups: Sequence[str], numerators: Values, denominators: Values) -> Interval:
    """Return the sum of `numerators` over that of `denominators`; rounds in which the latter is 0 do not count."""
    pairs = [torch.as_tensor(one, dtype=torch.float64) for one in (numerators, denominators)]
    sums = group_sums(groups, torch.stack(pairs, dim=1))
    return interval_of(_ratio(sums.sum(dim=0)), _ratio(resampled(sums)))


def paired_difference(groups: Sequence[str], ours: Values, theirs: Values) -> Interval:
    """Return the mean of `ours` less that of `theirs`, which are of the same lines at the same places."""
    mine, others = (torch.as_tensor(one, dtype=torch.float64) for one in (ours, theirs))
    return mean_interval(groups, mine - others)


def group_sums(groups: Sequence[str], columns: Tensor) -> Tensor:
    """Add `columns` (values, C) up by group: (groups, C), the groups in the order of their names."""
    sums = torch.zeros(len(set(groups)), columns.shape[1], dtype=torch.float64)
    return sums.index_add_(0, group_places(groups), columns.double())


def group_places(groups: Sequence[str]) -> Tensor:
    """Return the number of each value's group, in the order of their names."""
    numbers = {group: number for number, group in enumerate(sorted(set(groups)))}
    return torch.tensor([numbers[group] for group in groups], dtype=torch.long)


def resampled(sums: Tensor, rounds: int = ROUNDS, seed: int = 0) -> Tensor:
    """Return the totals (rounds, C) of as many groups as there are, drawn with replacement from `sums` (groups, C).

    One group alone gives no round: nothing is known of how groups differ.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = range(0, rounds if len(sums) > 1 else 0, _AT_ONCE)
    totals = [multiplicities(len(sums), min(_AT_ONCE, rounds - start), generator) @ sums for start in parts]
    return torch.cat(totals) if totals else torch.empty(0, sums.shape[1], dtype=torch.float64)


def multiplicities(groups: int, rounds: int, generator: torch.Generator) -> Tensor:
    """Draw `groups` groups with replacement, `rounds` times: how often each came (rounds, groups)."""
    drawn = torch.randint(groups, (rounds, groups), generator=generator)
    counts = torch.zeros(rounds, groups, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones_like(counts))


def interval_of(value: Tensor, rounds: Tensor) -> Interval:
    """Return a value with the interval in which 95 % of the `rounds` that have one are."""
    if not bool(value.isfinite()):
        return Interval(None)
    known = rounds[rounds.isfinite()]
    if not len(known):
        return Interval(float(value))
    low, high = torch.quantile(known, torch.tensor(_ENDS, dtype=known.dtype)).tolist()
    return Interval(float(value), low, high)


def _ratio(totals: Tensor) -> Tensor:
    """Return the ratio of two sums (..., 2); inf or nan where the second is 0."""
    return totals[..., 0] / totals[..., 1]
