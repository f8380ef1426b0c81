"""Does it sound like them: how often a judge takes a reply, or many together, for its character's.

Beside it stands what the same judge says of the true lines of the same contexts: far above that is caricature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from training.evaluation.figures import Figure, Measure
from training.evaluation.intervals import Interval, group_places, group_sums, interval_of, multiplicities, resampled
from training.evaluation.knowing import wins
from training.evaluation.pieces import Generated
from training.evaluation.plan import Ask
from training.words import counted

SOUNDING = "sounds like them"
POOLS = (20, 50)
NEEDED = 200  # lines of each character: pools drawn from fewer are too much alike
_DRAWS = 300
_POOLED_ROUNDS = 300


class Judging(Protocol):
    """Says who speaks, as `training.evaluation.judge.Judge` does."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return who may be meant."""
        ...

    def log_probabilities(self, texts: Sequence[str]) -> Tensor:
        """Return the natural logarithm of each name's probability: (texts, names)."""
        ...


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the judge says of replies and of the true lines of their contexts: (lines, names).

    `who` is whose each is, `said` is 0 for a fallback, of which the judge says nothing.
    """

    names: tuple[str, ...]
    episodes: tuple[str, ...]
    who: Tensor
    said: Tensor
    ours: Tensor
    theirs: Tensor

    @property
    def lines(self) -> Tensor:
        """Return how many there are of each character."""
        return torch.bincount(self.who, minlength=len(self.names))


def sounding(asks: Sequence[Ask], replies: Mapping[tuple[str, int], Generated], judge: Judging | None) -> Measure:
    """Return how often replies to held-out contexts are recognised, one by one and in pools of 20 and 50.

    `judge` is None where there is none, as where one character alone is taught.
    """
    scenes = [ask for ask in asks if ask.kind == "scene"]
    answered = [(ask, reply) for ask in scenes if (reply := replies.get((ask.kind, ask.number)))]
    if judge is None or not answered:
        note = "no judge: it needs lines of two characters" if judge is None else "no replies"
        return Measure(SOUNDING, tuple(figure for size in (1, *POOLS) for figure in _unsaid(size, note)))
    heard = _heard(answered, judge)
    figures = list(_figures(1, heard, _single(heard)))
    fewest = int(heard.lines[heard.lines > 0].min())
    note = f"needs {NEEDED} replies of each character, there are {fewest} of one"
    for size in POOLS:
        figures += _unsaid(size, note) if fewest < NEEDED else _figures(size, heard, _pooled(heard, size))
    return Measure(SOUNDING, tuple(figures))


def _heard(answered: Sequence[tuple[Ask, Generated]], judge: Judging) -> _Heard:
    said = torch.tensor([not reply.fallback for _, reply in answered]).double()
    ours = judge.log_probabilities([reply.text for _, reply in answered])
    return _Heard(
        judge.names,
        tuple(ask.episode for ask, _ in answered),
        torch.tensor([judge.names.index(ask.persona.name) for ask, _ in answered]),
        said,
        torch.where(said[:, None] > 0, ours, 0.0),
        judge.log_probabilities([ask.said for ask, _ in answered]),
    )


def _single(heard: _Heard) -> Tensor:
    """Return each character's shares of lines that are recognised: (1 + rounds, ours and theirs, names)."""
    of_whom = one_hot(heard.who, len(heard.names)).double()
    ours = wins(heard.ours, heard.who) * heard.said
    theirs = wins(heard.theirs, heard.who)
    columns = torch.cat([of_whom * ours[:, None], of_whom * theirs[:, None], of_whom], dim=1)
    sums = group_sums(heard.episodes, columns)
    totals = torch.cat([sums.sum(dim=0, keepdim=True), resampled(sums)]).view(-1, 3, len(heard.names))
    return totals[:, :2] / totals[:, 2:]


def _pooled(heard: _Heard, size: int) -> Tensor:
    """Return each character's shares of pools that are recognised: (1 + rounds, ours and theirs, names).

    In a round each line is as likely to be drawn as its episode came often, and none stands twice in a pool.
    """
    generator = torch.Generator().manual_seed(size)
    places = group_places(heard.episodes)
    groups = len(set(heard.episodes))
    often = multiplicities(groups, _POOLED_ROUNDS if groups > 1 else 0, generator)[:, places].float()
    return torch.stack([_recognised(heard, one, size, generator) for one in (torch.ones(len(places)), *often)])


def _recognised(heard: _Heard, weights: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw pools of `size` lines of each character, the same of replies and of true lines (ours and theirs, names)."""
    shares = torch.full((2, len(heard.names)), torch.nan, dtype=torch.float64)
    for at in range(len(heard.names)):
        rows = ((heard.who == at) & (weights > 0)).nonzero().squeeze(1)
        if len(rows) < size:
            continue
        drawn = torch.multinomial(weights[rows].expand(_DRAWS, -1), size, generator=generator)
        truth = torch.full((_DRAWS,), at)
        for side, judged in enumerate((heard.ours, heard.theirs)):
            won = wins(judged[rows][drawn].sum(dim=1), truth)
            # A fallback line says nothing of who speaks: it takes its share of what its pool won.
            shares[side, at] = (won * heard.said[rows][drawn].mean(dim=1) if side == 0 else won).mean()
    return shares


def _figures(size: int, heard: _Heard, shares: Tensor) -> tuple[Figure, ...]:
    """Return the share over all characters, its ratio to people's, and the weakest character's ratio."""
    ours, theirs = shares.nanmean(dim=2).unbind(dim=1)
    ratios = shares[:, 0] / shares[:, 1]
    weakest = int(ratios[0].nan_to_num(nan=torch.inf).argmin())
    found = [interval_of(one[0], one[1:]) for one in (ours, ours / theirs, ratios[:, weakest])]
    replies, fallbacks = len(heard.who), int((heard.said == 0).sum())
    note = f"{replies:,} replies" + (f", {counted(fallbacks, 'fallback')} among them" if fallbacks else "")
    return _named(size, found, float(theirs[0]), (note, heard.names[weakest]))


def _unsaid(size: int, note: str) -> tuple[Figure, ...]:
    return _named(size, [Interval(None)] * 3, None, (note, note))


def _named(size: int, found: Sequence[Interval], people: float | None, notes: tuple[str, str]) -> tuple[Figure, ...]:
    key, which = ("single", "one by one") if size == 1 else (f"pooled_{size}", f"in pools of {size}")
    share, ratio, weakest = found
    return (
        Figure(key, f"recognised {which}", *share, "share", people, notes[0]),
        Figure(f"{key}_ratio", f"recognised {which}, over the true lines", *ratio, note=notes[0]),
        Figure(f"{key}_weakest", f"recognised {which}, weakest character's ratio", *weakest, note=notes[1]),
    )
