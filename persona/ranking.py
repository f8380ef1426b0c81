"""Orders candidate replies by what the model that drew them thinks of them.

The likeliest reply is not the best one: it is the one that fits everywhere (Holtzman et al. 2020, "The
Curious Case of Neural Text Degeneration"). So four parts are weighed, all from the model's own
log-probabilities, and the weights are tuned on held-out episodes or on what readers judged: see `training/tuning/`.
A token, the best of eight replies would be a short one; in total, a rambling one: each part is held against
what is usual for a reply of that length.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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


class Usual(NamedTuple):
    """What a part usually is for a reply of n tokens: `level` + `brevity` / n nats a token."""

    level: float
    brevity: float

    def of(self, tokens: int) -> float:
        """Return it for a reply of so many tokens."""
        return self.level + self.brevity / tokens


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

    def unusual(self, usual: Mapping[str, Usual]) -> dict[str, float]:
        """Return by how much each known part is above what is usual for a reply of this length.

        Times the root of the length, in which a mean's spread shrinks: so that the best of some
        replies is not the shortest, whose parts stray the furthest, nor the longest.
        """
        known = ((part, getattr(self, part)) for part in PARTS)
        root = math.sqrt(self.tokens)
        return {part: root * (value - usual[part].of(self.tokens)) for part, value in known if value is not None}


PARTS = ("likelihood", "information", "persona_gain", "commonness")
USUAL = {
    "likelihood": Usual(-1.93, 1.16),
    "information": Usual(0.25, 1.46),
    "persona_gain": Usual(0.01, 0.12),
    "commonness": Usual(-2.15, -0.04),
}
"""Measured on 890 candidates of an adapter of 2026-11-24; where a card has none of its own."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts, above what is `usual` for a reply's length; commonness is subtracted.

    Only the weights' proportions matter. The defaults were set by reading what they pick; see docs/runs.md.
    """

    likelihood: float = 1.0
    information: float = 1.0
    persona_gain: float = 0.5
    commonness: float = 0.3
    usual: Mapping[str, Usual] = field(default_factory=lambda: USUAL)

    def __post_init__(self) -> None:
        """Raise RankingError where a weight is not a number from 0 up, all are 0, or a part's usual is not known."""
        for name, value in self.by_part().items():
            if not _is_number(value) or value < 0:
                raise RankingError(f"the ranking's weight {name!r} must be a number from 0 up, not {value!r}")
        if not any(self.by_part().values()):
            raise RankingError("at least one weight of the ranking must be above 0")
        if missing := sorted(set(PARTS) - set(self.usual)):
            raise RankingError(f"the ranking does not say what {missing[0]} usually is")

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any]) -> "Weights":
        """Return the weights in a card, the defaults where it has none; raises RankingError.

        In a table that has some, a part that is left out weighs nothing.
        """
        if not isinstance(table, Mapping):
            raise RankingError("the ranking's weights must be a table of numbers")
        weights = {str(key): value for key, value in table.items() if key != "usual"}
        if unknown := sorted(set(weights) - set(PARTS)):
            raise RankingError(f"the ranking has the unknown weight {unknown[0]!r}; known are {', '.join(PARTS)}")
        usual = {**USUAL, **_usual(table.get("usual", {}))}
        return cls(**(dict.fromkeys(PARTS, 0.0) | weights), usual=usual) if weights else cls(usual=usual)

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields, as they stand in a card."""
        return {**self.by_part(), "usual": {part: list(self.usual[part]) for part in PARTS}}

    def by_part(self) -> dict[str, float]:
        """Return the weights alone."""
        return {part: getattr(self, part) for part in PARTS}

    def score(self, parts: Parts) -> float:
        """Return what a reply is worth; only replies with the same parts can be compared."""
        signs = {"commonness": -1.0}
        weights, found = self.by_part(), parts.unusual(self.usual)
        return sum(signs.get(part, 1.0) * weights[part] * value for part, value in found.items())


def _usual(table: Any) -> dict[str, Usual]:
    if not isinstance(table, Mapping) or not set(table) <= set(PARTS):
        raise RankingError("what the ranking calls usual must be a table of its parts")
    for part, pair in table.items():
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(map(_is_number, pair)):
            raise RankingError(f"what is usual of {part} must be two numbers, not {pair!r}")
    return {part: Usual(*map(float, pair)) for part, pair in table.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _mean_likelihood(logprobs: Iterable[float]) -> float:
    """Return the logarithm of the mean probability: the likeliest counts most."""
    values = tuple(logprobs)
    highest = max(values)
    return highest + math.log(sum(math.exp(one - highest) for one in values) / len(values))
