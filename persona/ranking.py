"""Orders candidate replies by what the model that drew them thinks of them.

The likeliest reply is not the best one: it is the one that fits everywhere (Holtzman et al. 2020, "The
Curious Case of Neural Text Degeneration"). So four parts are weighed, all from the model's own
log-probabilities, and the weights are tuned on held-out episodes or on what readers judged: see `training/tuning/`.
A token, the best of eight replies would be a short one; in total, a rambling one: what a reply's length makes
of a part is taken off, and the rest is held against the replies that it competes with.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ELSEWHERE = (
    "I have to tell you something.",
    "I don't know what to do about it.",
)
"""What a stranger says in the conversations in which a reply that fits everywhere would fit, too."""


class RankingError(ValueError):
    """Weights that cannot be used, in one sentence."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a reply of `tokens` tokens, its end of turn included: log-probabilities in nats.

    `here` is after this conversation under the name of who speaks, `nowhere` the same after no
    conversation, `elsewhere` in other conversations, `others` in this one under each other name.
    Nothing stands for what was not asked.
    """

    tokens: int
    here: float
    nowhere: float | None = None
    elsewhere: tuple[float, ...] = ()
    others: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reply of `tokens` tokens is worth, part by part, in nats a token; None stands for what was not asked.

    `likelihood` keeps out what is not language. `information`: how much likelier the reply is after
    this conversation than after none, the mutual information of Li et al. 2016 ("A Diversity-Promoting
    Objective Function for Neural Conversation Models"). `persona_gain`: how much likelier than under
    another name, any of them being as probable. `commonness`: how likely in any other conversation.
    """

    likelihood: float
    information: float | None = None
    persona_gain: float | None = None
    commonness: float | None = None
    tokens: int = 1

    @classmethod
    def of(cls, known: Evidence) -> "Parts":
        """Return the parts of what is known."""
        length = max(1, known.tokens)
        return cls(
            known.here / length,
            None if known.nowhere is None else (known.here - known.nowhere) / length,
            (known.here - _mean_likelihood(known.others)) / length if known.others else None,
            _mean_likelihood(known.elsewhere) / length if known.elsewhere else None,
            length,
        )


PARTS = ("likelihood", "information", "persona_gain", "commonness")
BREVITY = {"likelihood": 0.29, "information": 3.08, "persona_gain": 0.44, "commonness": -2.89}
"""By how many nats a token each part grows with 1 / tokens among the replies to one message; where a card has none.

Measured on 930 candidates of an adapter of 2026-11-30, half of them in scenes, half to strangers.
"""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts, above what `brevity` makes of it and the replies' mean; commonness is subtracted.

    Only the weights' proportions matter. The defaults were set by reading what they pick; see docs/runs.md.
    """

    likelihood: float = 1.0
    information: float = 1.0
    persona_gain: float = 0.5
    commonness: float = 0.3
    brevity: Mapping[str, float] = field(default_factory=lambda: BREVITY)

    def __post_init__(self) -> None:
        """Raise RankingError where a weight is not a number from 0 up, all are 0, or a part's brevity is not known."""
        for name, value in self.by_part().items():
            if not _is_number(value) or value < 0:
                raise RankingError(f"the ranking's weight {name!r} must be a number from 0 up, not {value!r}")
        if not any(self.by_part().values()):
            raise RankingError("at least one weight of the ranking must be above 0")
        if missing := sorted(set(PARTS) - set(self.brevity)):
            raise RankingError(f"the ranking does not say what brevity makes of {missing[0]}")

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any]) -> "Weights":
        """Return the weights in a card, the defaults where it has none; raises RankingError.

        In a table that has some, a part that is left out weighs nothing.
        """
        if not isinstance(table, Mapping):
            raise RankingError("the ranking's weights must be a table of numbers")
        weights = {str(key): value for key, value in table.items() if key not in ("brevity", "usual")}
        if unknown := sorted(set(weights) - set(PARTS)):
            raise RankingError(f"the ranking has the unknown weight {unknown[0]!r}; known are {', '.join(PARTS)}")
        brevity = {**BREVITY, **_brevity(table)}
        return cls(**(dict.fromkeys(PARTS, 0.0) | weights), brevity=brevity) if weights else cls(brevity=brevity)

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields, as they stand in a card."""
        return {**self.by_part(), "brevity": {part: self.brevity[part] for part in PARTS}}

    def by_part(self) -> dict[str, float]:
        """Return the weights alone."""
        return {part: getattr(self, part) for part in PARTS}

    def scores(self, replies: Sequence[Parts]) -> list[float]:
        """Return what each of the replies to one message is worth beside the others; all must have the same parts."""
        signs = {"commonness": -1.0}
        weights = self.by_part()
        found = above_mean(replies, self.brevity)
        return [sum(signs.get(part, 1.0) * weights[part] * value for part, value in one.items()) for one in found]


def above_mean(replies: Sequence[Parts], brevity: Mapping[str, float]) -> list[dict[str, float]]:
    """Return by how much each known part of each reply is above the mean of all, its length allowed for.

    Of each part `brevity` / tokens is taken off, then the mean over all tokens of the replies. What is left is
    multiplied by the root of the length, in which a mean's spread shrinks: so that the best of some replies is not the
    shortest, whose parts stray the furthest, nor the longest. The mean is their own since in one conversation every
    reply is likelier than in another: all would be above a common one, and the longest first, or all below.
    """
    found: list[dict[str, float]] = [{} for _ in replies]
    for part in PARTS:
        known = [(at, one.tokens, getattr(one, part)) for at, one in enumerate(replies)]
        off = [(at, tokens, value - brevity[part] / tokens) for at, tokens, value in known if value is not None]
        mean = sum(tokens * value for _, tokens, value in off) / (sum(tokens for _, tokens, _ in off) or 1)
        for at, tokens, value in off:
            found[at][part] = math.sqrt(tokens) * (value - mean)
    return found


def _brevity(table: Mapping[str, Any]) -> dict[str, float]:
    """Return what a card says. Its "usual" of earlier versions, a line through all contexts, is something else."""
    found = table.get("brevity", {})
    if not isinstance(found, Mapping) or not set(found) <= set(PARTS):
        raise RankingError("what the ranking calls brevity must be a table of its parts")
    for part, value in found.items():
        if not _is_number(value):
            raise RankingError(f"the ranking's brevity of {part} must be a number, not {value!r}")
    return {part: float(value) for part, value in found.items()}


def _is_number(value: object) -> bool:
    """Say whether this is a finite number; an integer beyond a float's range is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _mean_likelihood(logprobs: Iterable[float]) -> float:
    """Return the logarithm of the mean probability: the likeliest counts most."""
    values = tuple(logprobs)
    highest = max(values)
    return highest + math.log(sum(math.exp(one - highest) for one in values) / len(values))
