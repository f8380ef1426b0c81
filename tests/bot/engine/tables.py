"""An engine whose candidates and scores stand in a table, one token a word."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.engine.protocol import Abilities, Candidate, FinishReason, GenerateRequest, ScoreRequest

Score = Callable[[ScoreRequest, str], float]


def drawn(text: str, logprob: float | None = -10.0, reason: FinishReason = "stop") -> Candidate:
    """Return a candidate of as many tokens as it has words, and its end."""
    return Candidate(text, logprob, len(text.split()) + 1, reason)


@dataclass
class TableEngine:
    """Draws `candidates` and scores with `score`; `fails` says what raises instead, by what is asked.

    The keys of `fails` are "ready", "nowhere", "here", "elsewhere" and "others"; a number is slept.
    """

    candidates: list[Candidate]
    score_of: Score = lambda request, reply: -10.0
    abilities: Abilities = field(default_factory=Abilities)
    fails: Mapping[str, Exception | float] = field(default_factory=dict)
    asked: list[GenerateRequest] = field(default_factory=list)
    scored: list[tuple[str, ScoreRequest]] = field(default_factory=list)
    cancelled: int = 0
    in_hand: int = 0
    most: int = 0  # that were ever in hand

    async def ready(self) -> Abilities:
        await self._fail("ready")
        return self.abilities

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        self.asked.append(request)
        return self.candidates

    async def score(self, request: ScoreRequest) -> list[float]:
        kind = self._kind(request)
        self.scored.append((kind, request))
        self.in_hand += 1
        self.most = max(self.most, self.in_hand)
        try:
            await self._fail(kind)
        finally:
            self.in_hand -= 1
        return [self.score_of(request, reply) for reply in request.replies]

    async def aclose(self) -> None:
        return

    def told(self, kind: str) -> list[ScoreRequest]:
        """Return the requests of one kind."""
        return [request for one, request in self.scored if one == kind]

    def _kind(self, request: ScoreRequest) -> str:
        asked = self.asked[-1]
        if not request.conversation.turns:
            return "nowhere"
        if request.conversation != asked.conversation:
            return "elsewhere"
        return "here" if request.persona == asked.persona else "others"

    async def _fail(self, kind: str) -> None:
        failure = self.fails.get(kind)
        if isinstance(failure, Exception):
            raise failure
        try:
            await asyncio.sleep(failure or 0.0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
