"""Orders candidate replies by what the model that drew them thinks of them.

The likeliest reply is not the best one: it is the one that fits everywhere (Holtzman et al. 2020, "The
Curious Case of Neural Text Degeneration"). So four parts are weighed, all from the model's own
log-probabilities, and the weights are tuned on held-out episodes; `training/tuning/` says how.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

ELSEWHERE = (
    "Hey, how are you?",
    "What are you doing tonight?",
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
    """What a reply is worth, part by part, in nats a token; 0 stands for what was not asked.

    `likelihood` keeps out what is not language. `information`: how much likelier the reply is after
    this conversation than after none, the mutual information of Li et al. 2016 ("A Diversity-Promoting
    Objective Function for Neural Conversation Models"). `persona_gain`: how much likelier than under
    another name, any of them being as probable. `commonness`: how likely in any other conversation.
    All a token: totals tell true lines apart as well, but pay a model's own replies for rambling on.
    """

    likelihood: float
    information: float = 0.0
    persona_gain: float = 0.0
    commonness: float = 0.0

    @classmethod
    def of(cls, known: Evidence) -> "Parts":
        """Return the parts of what is known."""
        length = max(1, known.tokens)
        return cls(
            known.here / length,
            0.0 if known.nowhere is None else (known.here - known.nowhere) / length,
            (known.here - _mean_likelihood(known.others)) / length if known.others else 0.0,
            _mean_likelihood(known.elsewhere) / length if known.elsewhere else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts; commonness is subtracted. Only their proportions matter.

    The defaults were set by reading what they pick; see docs/runs.md.
    """

    likelihood: float = 1.0
    information: float = 0.5
    persona_gain: float = 0.5
    commonness: float = 0.1

    def __post_init__(self) -> None:
        """Raise RankingError where a weight is not a number from 0 up, or all are 0."""
        for name, value in asdict(self).items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise RankingError(f"the ranking's weight {name!r} must be a number from 0 up, not {value!r}")
        if not any(asdict(self).values()):
            raise RankingError("at least one weight of the ranking must be above 0")

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any]) -> "Weights":
        """Return the weights in a card, the defaults where it has none; raises RankingError.

        In a table that has some, a part that is left out weighs nothing.
        """
        if not isinstance(table, Mapping):
            raise RankingError("the ranking's weights must be a table of numbers")
        if unknown := sorted(map(str, set(table) - set(PARTS))):
            raise RankingError(f"the ranking has the unknown weight {unknown[0]!r}; known are {', '.join(PARTS)}")
        return cls(**(dict.fromkeys(PARTS, 0.0) | dict(table))) if table else cls()

    def to_mapping(self) -> dict[str, float]:
        """Return the plain fields, as they stand in a card."""
        return asdict(self)

    def score(self, parts: Parts) -> float:
        """Return what a reply is worth; only replies with the same parts can be compared."""
        return (
            self.likelihood * parts.likelihood
            + self.information * parts.information
            + self.persona_gain * parts.persona_gain
            - self.commonness * parts.commonness
        )


PARTS = tuple(one.name for one in fields(Weights))


def _mean_likelihood(logprobs: Iterable[float]) -> float:
    """Return the logarithm of the mean probability: the likeliest counts most."""
    values = tuple(logprobs)
    highest = max(values)
    return highest + math.log(sum(math.exp(one - highest) for one in values) / len(values))
