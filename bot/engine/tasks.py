"""What a batch works on: replies to draw and replies to score, each with the rows that it needs. Imports torch."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from bot.engine.protocol import Candidate, FinishReason, Sampling
from bot.engine.sampling import Draw, Drawn, new_generator

_LONGEST_LOOP = 8


@dataclass(eq=False, slots=True)
class Row:
    """A sequence in a slot: `ids` are its tokens, of which the first `computed` are in the slot.

    Logits are wanted from position `wanted` on. `number` says which reply of its task it is; the
    row of what they all begin with is None.
    """

    task: "Generation | Scoring"
    slot: int
    ids: list[int]
    computed: int
    wanted: int
    number: int | None = None

    @property
    def pending(self) -> int:
        """Return how many tokens are still to be computed."""
        return len(self.ids) - self.computed


@dataclass(eq=False, slots=True)
class Task:
    """What is asked for after `prompt`. `anew` computes the prompt whatever is known of it.

    `deadline` is a moment of `time.monotonic()`.
    """

    prompt: list[int]
    deadline: float | None = None
    adapter: str = ""
    anew: bool = False

    @property
    def late(self) -> bool:
        """Say whether time is out."""
        return self.deadline is not None and time.monotonic() >= self.deadline


@dataclass(eq=False, slots=True)
class Generation(Task):
    """Draws `n` candidates, the first of them number `first`, of at most `longest` tokens each.

    `ends` are the tokens that end a reply; `text_of` decodes one, `words_of` says which words a token is,
    or parts of words.
    """

    n: int = 1
    first: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    longest: int = 60
    seed: int = 0
    ends: frozenset[int] = frozenset()
    text_of: Callable[[list[int]], str] = lambda ids: ""
    words_of: Callable[[int], Sequence[str]] = lambda token: ()
    draws: list[Draw] = field(init=False)
    drawn: list[list[Drawn]] = field(init=False)
    said: list[list[str]] = field(init=False)
    finished: dict[int, FinishReason] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Give each candidate a generator of its own."""
        self.draws = [Draw(self.sampling, new_generator(self.seed, self.first + at)) for at in range(self.n)]
        self.drawn = [[] for _ in range(self.n)]
        self.said = [[] for _ in range(self.n)]

    def goes_in_circles(self, number: int, token: int) -> bool:
        """Say whether candidate `number` would say the same one to eight words a third time in a row with `token`.

        The guard would refuse it. Whoever asks for the likeliest tokens gets them.
        """
        words = self.words_of(token) if self.sampling.temperature else ()
        said = self.said[number]
        return any(_circles([*said[-3 * _LONGEST_LOOP :], *words[: at + 1]]) for at in range(len(words)))

    def take(self, number: int, drawn: Drawn) -> bool:
        """Add a token to candidate `number`; say whether it goes on."""
        self.drawn[number].append(drawn)
        self.said[number] += self.words_of(drawn.token)
        if drawn.token in self.ends:
            self.finished[number] = "stop"
        elif len(self.drawn[number]) >= self.longest:
            self.finished[number] = "length"
        return number not in self.finished

    @property
    def width(self) -> int:
        """Return how many rows it needs at most."""
        return self.n

    @property
    def done(self) -> bool:
        """Say whether every candidate has ended."""
        return len(self.finished) == self.n

    def candidates(self) -> list[Candidate]:
        """Return the candidates as far as they came."""
        return [self._candidate(drawn, self.finished.get(at, "deadline")) for at, drawn in enumerate(self.drawn)]

    def _candidate(self, drawn: list[Drawn], reason: FinishReason) -> Candidate:
        said = [one.token for one in drawn]
        text = self.text_of(said[:-1] if reason == "stop" else said).strip()
        return Candidate(text, sum(one.logprob for one in drawn), len(drawn), reason)


def _circles(words: Sequence[str]) -> bool:
    """Say whether `words` end with one to eight words for the third time in a row."""
    return any(
        words[-size:] == words[-2 * size : -size] == words[-3 * size : -2 * size]
        for size in range(1, min(_LONGEST_LOOP, len(words) // 3) + 1)
    )


@dataclass(eq=False, slots=True)
class Scoring(Task):
    """Sums the log-probabilities of each of `replies`, token ids with their end of turn."""

    replies: list[list[int]] = field(default_factory=list)
    scores: list[float] = field(init=False)
    finished: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin at certainty."""
        self.scores = [0.0] * len(self.replies)

    @property
    def width(self) -> int:
        """Return how many rows it needs at most."""
        return len(self.replies)

    def take(self, row: Row, logits: torch.Tensor, position: int) -> bool:
        """Add what `logits` (T, V), from `position` on, say of the reply of `row`; say whether it goes on."""
        number = row.number or 0
        first = position - row.wanted
        said = torch.tensor(self.replies[number][first : first + len(logits)], device=logits.device)
        logits = logits.float()
        self.scores[number] += (logits.gather(1, said.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)).sum().item()
        if row.pending == 0:
            self.finished.add(number)
        return row.pending > 0

    @property
    def done(self) -> bool:
        """Say whether every reply has its score."""
        return len(self.finished) == len(self.replies)
