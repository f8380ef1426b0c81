"""The contract of every reply engine: `generate` and `score`, and what it can do.

Cancelling the awaiting task stops the work within one decoding step. An engine whose queue is full
raises Busy at once; it never waits behind a queue without a bound. Scores have places of their own,
`SCORES_A_REPLY` for each of the replies', so that a reply that was drawn can be ranked, too.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from persona.characters import Persona
from persona.dialogue import Scene

SCORES_A_REPLY = 16  # more than ranking asks for at once

FinishReason = Literal["stop", "length", "deadline"]


class EngineError(RuntimeError):
    """The engine cannot answer; the message is a sentence for the person running the bot."""


class Busy(EngineError):  # noqa: N818 - a state the caller answers to, not a fault
    """The queue is full: nothing was started, and asking again later may work."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine can do, known once it is ready.

    `logprobs`: candidates carry their log-probability; `scores`: `score` works; `candidates` is how
    many are worth drawing for one reply here. `notice` is a line for people, None where there is none.
    """

    logprobs: bool = True
    scores: bool = True
    candidates: int = 8
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. A temperature of 0 is greedy.

    Colder than people speak, since readers would send more of what is drawn so: 31 % at 0.8, 24 % at 1
    (docs/runs.md). `min_p` (Nguyen et al. 2024, "Turning Up the Heat") cuts the tail, and `top_p`
    does where a server does not know it.
    """

    temperature: float = 0.8
    top_p: float = 0.95
    min_p: float = 0.05


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """What to say next in `conversation`, as `persona`.

    `longest` bounds a reply in tokens, end of turn included. `seed` repeats a reply exactly on the
    same machine, versions and precision. `deadline` is a moment of `time.monotonic()`.
    """

    conversation: Scene
    persona: Persona
    n: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    longest: int = 60
    seed: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reply: its text without any tag, its log-probability in nats over `tokens` tokens.

    The log-probability is the model's own, whatever the sampling; None where the engine gives none.
    `finish_reason` is "stop" at the end-of-turn token, "length" at `longest`, "deadline" where
    time ran out; the last two leave the text as far as it came.
    """

    text: str
    logprob: float | None
    tokens: int
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """How likely each of `replies` is as what `persona` says next in `conversation`."""

    conversation: Scene
    persona: Persona
    replies: tuple[str, ...]
    deadline: float | None = None


class ReplyEngine(Protocol):
    """What the bot and the evaluation ask of a model."""

    async def ready(self) -> Abilities:
        """Wait until the engine can answer, and return what it can do; raises EngineError."""
        ...

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        """Return `request.n` candidates; raises Busy or EngineError."""
        ...

    async def score(self, request: ScoreRequest) -> list[float]:
        """Return, reply by reply, the natural log-probability of its tokens and its end of turn.

        Raises Busy or EngineError; EngineError always where the abilities lack `scores`.
        """
        ...

    async def aclose(self) -> None:
        """Give up what is in hand and free the model."""
        ...
