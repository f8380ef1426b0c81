"""What each way to rank would have sent: its picks among the candidates that were drawn and that the guard let pass."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.engine.protocol import Candidate
from persona.ranking import PARTS, Evidence, Parts, Weights
from persona.words import words_of
from training.tuning.reading import Read

FIRST, ALL, PEOPLE = "the first that was drawn", "all parts", "people"
A_TOKEN = "all parts a token, whatever the length"
_SHORT = 3
Scores = Callable[[Sequence[Parts]], list[float]]


@dataclass(frozen=True, slots=True)
class Picks:
    """What one way to rank sent, context by context."""

    name: str
    texts: tuple[str, ...]

    def same_as(self, other: "Picks") -> float:
        """Return the share of contexts in which both sent the same words."""
        pairs = zip(self.texts, other.texts, strict=True)
        return sum(mine == theirs for mine, theirs in pairs) / len(self.texts)

    def distinct(self) -> float:
        """Return distinct-2 (Li et al. 2016): how many of all pairs of neighbouring words are different ones."""
        pairs = [pair for text in self.texts for pair in itertools.pairwise(words_of(text))]
        return len(set(pairs)) / len(pairs) if pairs else 0.0

    def words(self) -> float:
        """Return the words of a reply, on average."""
        return sum(len(words_of(text)) for text in self.texts) / len(self.texts)

    def short(self) -> float:
        """Return the share of replies of three words or fewer."""
        return sum(len(words_of(text)) <= _SHORT for text in self.texts) / len(self.texts)

    def again(self) -> float:
        """Return the share of replies that were sent in another context too."""
        said = [" ".join(words_of(text)) for text in self.texts]
        return sum(said.count(one) > 1 for one in said) / len(said)


def picks(reads: Sequence[Read], weights: Weights) -> list[Picks]:
    """Return what was truly said, and the picks of every way to rank, in contexts with two candidates or more."""
    chosen_among = [read for read in reads if len(read.drawn) > 1]
    ways: dict[str, Scores | None] = {FIRST: None, **ways_to_rank(weights)}
    return [
        Picks(PEOPLE, tuple(read.context.said for read in chosen_among)),
        *(Picks(name, tuple(pick(read.drawn, way).text for read in chosen_among)) for name, way in ways.items()),
    ]


def ways_to_rank(weights: Weights) -> Mapping[str, Scores]:
    """Return all parts, with and without regard to length, without each that has a weight, and two alone."""
    table = weights.by_part()
    weighing = [part for part in PARTS if table[part] > 0]
    left_out = {f"without {part}": replace(weights, **{part: 0.0}) for part in weighing if len(weighing) > 1}
    alone = {
        f"{part} alone": replace(weights, **dict.fromkeys(PARTS, 0.0) | {part: 1.0})
        for part in ("likelihood", "information")
    }
    ranked = {name: one.scores for name, one in {ALL: weights, **left_out, **alone}.items()}

    def worth(parts: Parts) -> float:
        values = {part: getattr(parts, part) or 0.0 for part in PARTS}
        return sum((-1 if part == "commonness" else 1) * table[part] * value for part, value in values.items())

    return ranked | {A_TOKEN: lambda replies: [worth(one) for one in replies]}


def pick(drawn: Sequence[tuple[Candidate, Evidence]], scores: Scores | None) -> Candidate:
    """Return the best of the candidates; the first where nothing scores them."""
    if scores is None:
        return drawn[0][0]
    found = scores([Parts.of(known) for _, known in drawn])
    return drawn[found.index(max(found))][0]
