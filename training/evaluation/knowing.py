"""What the model knows of true lines: bits per byte, who says them, and which line of many belongs here."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from persona.words import words_of
from training.evaluation.figures import Figure, Measure
from training.evaluation.intervals import Interval, mean_interval, paired_difference, ratio_interval
from training.evaluation.pieces import ScoredLine
from training.evaluation.plan import Line
from training.words import counted

BITS, WHO, HITS = "bits per byte", "speaker identification", "hits@1 of 20"
WORDS = 4  # a shorter line could be anybody's
_ALONE = "only one character is taught"


@dataclass(frozen=True, slots=True)
class _Known:
    line: Line
    piece: ScoredLine

    @property
    def nats(self) -> float:
        return -self.piece.here[self.line.persona.name]

    @property
    def size(self) -> int:
        return len(self.line.said.encode())


def knowing(lines: Sequence[Line], scored: Mapping[int, ScoredLine]) -> tuple[Measure, ...]:
    """Return bits per byte, speaker identification and hits@1 of the lines that are scored."""
    known = [_Known(line, scored[line.number]) for line in lines if line.number in scored]
    return _bits(known), _identification(known), _hits(known)


def bits_against(lines: Sequence[Line], ours: Mapping[int, ScoredLine], theirs: Mapping[int, ScoredLine]) -> Figure:
    """Return the ratio of bits per byte of two evaluations, of the lines that both scored, the interval paired."""
    both = [line for line in lines if line.number in ours and line.number in theirs]
    nats = [[_Known(line, scored[line.number]).nats for line in both] for scored in (ours, theirs)]
    # The bytes are the same on both sides and cancel out.
    interval = ratio_interval([line.episode for line in both], *nats)
    return Figure("bits_ratio", "bits per byte, ours over theirs", *interval, note=counted(len(both), "line"))


def wins(scores: Tensor, truth: Tensor) -> Tensor:
    """Return 1 for each row of `scores` (rows, choices) in which the choice `truth` (rows) is above all others.

    Where k choices are level at the top and `truth` is one of them, 1/k; otherwise 0.
    """
    best = scores == scores.amax(dim=1, keepdim=True)
    own = best.gather(1, truth[:, None]).squeeze(1)
    return own.double() / best.sum(dim=1)


def _bits(known: Sequence[_Known]) -> Measure:
    episodes, nats = _episodes(known), torch.tensor([one.nats for one in known], dtype=torch.float64)
    bits = ratio_interval(episodes, nats / math.log(2), [one.size for one in known])
    tokens = ratio_interval(episodes, nats, [one.piece.tokens for one in known])
    perplexity = Interval(*(None if one is None else math.exp(one) for one in tokens))
    note = counted(len(known), "line")
    return Measure(
        BITS,
        (
            Figure("bits_per_byte", "bits per byte", *bits, note=note),
            Figure("perplexity", "perplexity a token", *perplexity, note=note),
        ),
    )


def _identification(known: Sequence[_Known]) -> Measure:
    """Measure who says what, of lines that have words enough to tell by (the headline) and of all."""
    worded = [one for one in known if len(words_of(one.line.said)) >= WORDS]
    headline = _identified(worded, "who", f"lines of {WORDS} words and more")
    return Measure(WHO, (*headline, *_identified(known, "who_all", "any line")))


def _identified(known: Sequence[_Known], key: str, which: str) -> tuple[Figure, ...]:
    names = list(known[0].piece.here) if known else []
    note = counted(len(known), "line")
    model, nowhere, rule, ahead = (Interval(None),) * 4
    if len(names) == 1:
        note = _ALONE
    elif known:
        episodes, truth = _episodes(known), torch.tensor([names.index(one.line.persona.name) for one in known])
        ours, bare, ruled = (wins(table, truth) for table in _tables(known, names))
        model, nowhere, rule = (mean_interval(episodes, one) for one in (ours, bare, ruled))
        ahead = paired_difference(episodes, ours, ruled)
    return (
        Figure(key, f"speaker found by the model, {which}", *model, "share", note=note),
        Figure(f"{key}_nowhere", f"the model without context, {which}", *nowhere, "share", note=note),
        Figure(f"{key}_rule", f"the best rule that ignores the line, {which}", *rule, "share", note=note),
        Figure(f"{key}_ahead", f"the model less the rule, {which}", *ahead, "points", note=note),
    )


def _tables(known: Sequence[_Known], names: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Return what speaks for each name (lines, names): the model in the scene, without it, and the rule."""
    here = [[one.piece.here[name] for name in names] for one in known]
    nowhere = [[one.piece.nowhere[name] for name in names] for one in known]
    rule = [_ruled(one.line, names) for one in known]
    return _table(here), _table(nowhere), _table(rule)


def _ruled(line: Line, names: Sequence[str]) -> list[float]:
    """Return how often each name has spoken in the scene; the one who spoke last does not go on."""
    turns = line.conversation.turns
    spoken = Counter(turn.name for turn in turns)
    previous = turns[-1].name if turns else ""
    return [-1.0 if name == previous else float(spoken[name]) for name in names]


def _hits(known: Sequence[_Known]) -> Measure:
    """Measure how often the true line comes first of 20 by the same speaker; lines without such do not count."""
    known = [one for one in known if one.piece.among]
    scores = (
        [[here - nowhere for here, nowhere, _ in one.piece.among] for one in known],
        [[here / tokens for here, _, tokens in one.piece.among] for one in known],
    )
    information, likelihood = (mean_interval(_episodes(known), [_hit(one) for one in table]) for table in scores)
    note = counted(len(known), "line")
    return Measure(
        HITS,
        (
            Figure("hits_information", "by mutual information", *information, "share", note=note),
            Figure("hits_likelihood", "by likelihood a token", *likelihood, "share", note=note),
        ),
    )


def _hit(scores: Sequence[float]) -> float:
    return float(wins(_table([scores]), torch.tensor([0])))


def _table(rows: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def _episodes(known: Sequence[_Known]) -> list[str]:
    return [one.line.episode for one in known]
