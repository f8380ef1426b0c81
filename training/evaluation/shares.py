"""How many of how many: shares, and what is said of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from training.evaluation.figures import Figure
from training.evaluation.intervals import mean_interval

_Z = 1.959964  # two-sided 95 %


class Share(NamedTuple):
    """`hits` of `of`."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """Return the share; NaN of nothing."""
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval: Wilson's; of no hits, 0 and three in so many (Hanley and Lippman-Hand 1983)."""
        if not self.hits:
            return 0.0, min(1.0, 3 / self.of) if self.of else math.nan
        p, n, z = self.value, self.of, _Z
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)

    def __str__(self) -> str:
        if not self.of:
            return "none"
        low, high = (100 * end for end in self.interval)
        counted = f"{self.hits:,} of {self.of:,}"
        if not self.hits:
            return f"{counted}: below {high:.2f} %"
        return f"{counted}: {100 * self.value:.2f} % ({low:.2f} to {high:.2f})"


class Name(NamedTuple):
    """What a figure is called by programs and by people."""

    key: str
    label: str

    def unknown(self, note: str) -> Figure:
        """Return the figure without a value; `note` says why."""
        return Figure(*self, None, note=note)

    def share(self, hits: Sequence[bool], episodes: Sequence[str], people: Sequence[bool] = ()) -> Figure:
        """Return the share of `hits`, its interval by bootstrap over `episodes`, beside the share of `people`'s.

        Where all hit or none does, a bootstrap has nothing to vary: the interval is `Share`'s.
        """
        if not hits:
            return self.unknown("no replies")
        one = Share(sum(hits), len(hits))
        ends = mean_interval(episodes, hits)[1:] if 0 < one.hits < one.of else one.interval
        return Figure(*self, one.value, *ends, "share", sum(people) / len(people) if people else None)
