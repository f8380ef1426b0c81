"""An engine that says what it was told to say and records what it was asked: for tests and dry runs."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from zlib import crc32

from bot.engine.protocol import Abilities, Busy, Candidate, EngineError, FinishReason, GenerateRequest, ScoreRequest
from bot.inhand import GivenUpError, InHand
from persona.characters import Persona
from persona.dialogue import Scene

Line = str | Exception | Callable[[GenerateRequest], str]
Gate = Callable[[GenerateRequest], Awaitable[None]]


class ScriptedEngine:
    """Keeps the contract of `bot.engine.protocol.ReplyEngine`, one token a word, without a model.

    Every candidate takes the next line of the script, which starts over at its end, whatever the
    seed; an exception is raised and a function is called with the request. `gate` is awaited
    before anything is said, `step` is the seconds a word takes. `asked` and `scored` hold the
    requests in the order they were let in. One candidate a reply, unless `abilities` say otherwise.
    """

    def __init__(
        self,
        replies: Iterable[Line],
        *,
        gate: Gate | None = None,
        step: float = 0.0,
        queue_size: int = 32,
        abilities: Abilities = Abilities(candidates=1),  # noqa: B008 - frozen
    ) -> None:
        """Raise ValueError on an empty script."""
        self._script = tuple(replies)
        if not self._script:
            raise ValueError("a script needs at least one line")
        self._gate = gate
        self._step = step
        self._queue_size = queue_size
        self._abilities = abilities
        self._said = 0
        self._in_hand = InHand()
        self._closed = False
        self.asked: list[GenerateRequest] = []
        self.scored: list[ScoreRequest] = []

    async def ready(self) -> Abilities:
        """Return what it was told it can do; raises EngineError once closed."""
        if self._closed:
            raise EngineError("the engine is closed")
        return self._abilities

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        """Return `request.n` candidates from the script; raises Busy, EngineError or what the script says."""
        self._let_in()
        self.asked.append(request)
        lines = [self._script[(self._said + i) % len(self._script)] for i in range(request.n)]
        self._said += request.n
        try:
            return await self._in_hand.do(self._speak(request, lines))
        except GivenUpError:
            raise EngineError("the engine was closed before it could answer") from None

    async def score(self, request: ScoreRequest) -> list[float]:
        """Return a log-probability for each reply: arbitrary, but always the same; raises Busy or EngineError."""
        if not self._abilities.scores:
            raise EngineError("this engine cannot score replies")
        if self._closed:
            raise EngineError("the engine is closed")
        if request.deadline is not None and request.deadline <= time.monotonic():
            raise EngineError("there was no time left to score the replies")
        self.scored.append(request)
        return [_logprob(request.conversation, request.persona, reply.split(), ended=True) for reply in request.replies]

    async def aclose(self) -> None:
        """Give up what is in hand: whoever waits for it gets an EngineError."""
        self._closed = True
        await self._in_hand.finish()

    def _let_in(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed")
        if len(self._in_hand) >= self._queue_size:
            raise Busy("too many replies are in hand")

    async def _speak(self, request: GenerateRequest, lines: list[Line]) -> list[Candidate]:
        try:
            async with asyncio.timeout(_seconds_left(request)):
                if self._gate:
                    await self._gate(request)
        except TimeoutError:
            return [self._candidate(request, [], "deadline") for _ in lines]
        return [await self._say(request, line) for line in lines]

    async def _say(self, request: GenerateRequest, line: Line) -> Candidate:
        if isinstance(line, Exception):
            raise line
        words = (line if isinstance(line, str) else line(request)).split()
        said: list[str] = []
        for word in words[: request.longest]:
            left = _seconds_left(request)
            if left is not None and left <= 0:
                return self._candidate(request, said, "deadline")
            await asyncio.sleep(self._step)
            said.append(word)
        return self._candidate(request, said, "stop" if len(words) < request.longest else "length")

    def _candidate(self, request: GenerateRequest, words: list[str], reason: FinishReason) -> Candidate:
        ended = reason == "stop"
        logprob = _logprob(request.conversation, request.persona, words, ended=ended)
        told = logprob if self._abilities.logprobs else None
        return Candidate(" ".join(words), told, len(words) + ended, reason)


def _seconds_left(request: GenerateRequest) -> float | None:
    return None if request.deadline is None else request.deadline - time.monotonic()


def _logprob(conversation: Scene, persona: Persona, words: list[str], *, ended: bool) -> float:
    """Draw each token from a vocabulary whose size depends on everything given."""
    told = repr((conversation.turns, persona.id, words))
    return -(len(words) + ended) * math.log(2 + crc32(told.encode("utf-8", "surrogatepass")) % 1000)
