"""What each part is worth: how often the true line comes first, in episodes that no weight was fitted to."""

import itertools
import random
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from persona.ranking import PARTS, Evidence, Parts, above_mean
from training.tuning.logit import first_wins, fit
from training.tuning.reading import Read

FOLDS, _ROUNDS = 10, 10_000
ALL = "all parts"


class Share(NamedTuple):
    """A share, with its 95 % interval by bootstrap over episodes."""

    value: float
    low: float
    high: float


class Choices(Protocol):
    """Choices among replies in one situation."""

    @property
    def episode(self) -> str:
        """Return the group that is held out as a whole."""
        ...

    def taught(self) -> list[Tensor]:
        """Return what weights are fitted to: matrices (replies, P), row 0 what ought to come first."""
        ...

    def first(self, weights: Tensor) -> dict[str, bool]:
        """Say for each kind of choice whether what ought to come first does; the kind that counts most first."""
        ...


@dataclass(frozen=True, slots=True)
class Sets:
    """The choices of a context, row 0 what was truly said; None where there are no other replies.

    `same` are 20 lines of one speaker, `others` 10 of different speakers, `garbled` 10 of the same words,
    `drawn` the model's own candidates.
    """

    episode: str
    same: Tensor
    others: Tensor | None = None
    garbled: Tensor | None = None
    drawn: Tensor | None = None

    def named(self) -> dict[str, Tensor]:
        """Return those that there are, by name."""
        found = {"same": self.same, "others": self.others, "garbled": self.garbled, "drawn": self.drawn}
        return {name: choice for name, choice in found.items() if choice is not None}

    def taught(self) -> list[Tensor]:
        """Return what weights are fitted to.

        The model's own candidates are no part of it: to tell a person from a model, the unlikelier
        line is the better guess, and the ranking would learn to like what is odd.
        """
        return [choice for name, choice in self.named().items() if name != "drawn"]

    def first(self, weights: Tensor) -> dict[str, bool]:
        """Say for each set whether the true line scores above every other."""
        return {name: first_wins(choice, weights) for name, choice in self.named().items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One way to rank: how often what ought to comes first, by kind of choice; in the first kind less than with all."""

    name: str
    first: Mapping[str, Share]
    difference: Share


def sets_of(read: Read, brevity: Mapping[str, float]) -> Sets:
    """Return the choices of a context that was read, each part held against the others, `brevity` allowed for."""
    said, rest, context = read.replies[0], iter(read.replies[1:]), read.context
    sets = {"same": context.same, "others": context.others, "garbled": context.garbled}
    found = {name: list(itertools.islice(rest, len(texts))) for name, texts in sets.items()}
    found["drawn"] = [known for _, known in read.drawn]
    return Sets(context.episode, **{name: matrix([said, *some], brevity) for name, some in found.items() if some})


def matrix(replies: Iterable[Evidence], brevity: Mapping[str, float]) -> Tensor:
    """Return by how much the parts of replies are above the mean of all (replies, P): of each, more is better.

    Commonness has its sign turned, and 0 stands for what was not asked.
    """
    found = above_mean([Parts.of(one) for one in replies], brevity)
    signs = [-1.0 if part == "commonness" else 1.0 for part in PARTS]
    rows = [[sign * one.get(part, 0.0) for part, sign in zip(PARTS, signs, strict=True)] for one in found]
    return torch.tensor(rows, dtype=torch.float64)


def ablation(choices: Sequence[Choices]) -> list[Row]:
    """Return the rows: all parts, without each, and each alone, on episodes held out from the fit."""
    every = range(len(PARTS))
    hits = {ALL: held_out_hits(choices, every)}
    for left_out in every:
        hits[f"without {PARTS[left_out]}"] = held_out_hits(choices, [part for part in every if part != left_out])
    for alone in every:
        hits[f"{PARTS[alone]} alone"] = held_out_hits(choices, [alone])
    episodes, main = [one.episode for one in choices], next(iter(hits[ALL]))
    return [
        Row(
            name,
            {key: share(episodes, found) for key, found in of.items()},
            share(episodes, [mine - best for mine, best in zip(of[main], hits[ALL][main], strict=True)]),
        )
        for name, of in hits.items()
    ]


def held_out_hits(choices: Sequence[Choices], parts: Sequence[int]) -> dict[str, list[float]]:
    """Return, for each kind of choice, situation by situation, 1 where what ought to comes first, else 0.

    Each fold of episodes is judged by weights fitted to the others. One without that kind has nan.
    """
    episodes = sorted({one.episode for one in choices})
    folds = {episode: number % FOLDS for number, episode in enumerate(episodes)}
    hits: dict[str, list[float]] = {}
    for fold in set(folds.values()):
        taught = [choice for one in choices if folds[one.episode] != fold for choice in one.taught()]
        weights = fit(taught, parts).weights
        for at, one in enumerate(choices):
            if folds[one.episode] == fold:
                for name, hit in one.first(weights).items():
                    hits.setdefault(name, [float("nan")] * len(choices))[at] = float(hit)
    return hits


def share(episodes: Sequence[str], values: Sequence[float], seed: int = 0) -> Share:
    """Return the mean of `values`, those that are nan left out, with its interval over episodes."""
    by_episode: dict[str, list[float]] = defaultdict(list)
    for episode, value in zip(episodes, values, strict=True):
        if value == value:  # noqa: PLR0124 - nan
            by_episode[episode].append(value)
    sums = [(sum(found), len(found)) for found in by_episode.values()]
    draw = random.Random(seed)  # noqa: S311 - statistics, not secrets
    means = [_mean(draw.choices(sums, k=len(sums))) for _ in range(_ROUNDS)]
    cuts = statistics.quantiles(means, n=40)
    return Share(_mean(sums), cuts[0], cuts[-1])


def _mean(sums: Sequence[tuple[float, int]]) -> float:
    return sum(total for total, _ in sums) / sum(count for _, count in sums)
