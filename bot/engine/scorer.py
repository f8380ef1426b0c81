"""What an engine's `score` says of replies: every column of `persona.ranking.Evidence`."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bot.engine.protocol import ReplyEngine, ScoreRequest
from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from persona.ranking import ELSEWHERE

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Situation:
    """Who speaks next in which conversation, and the moment of `time.monotonic()` at which it is too late."""

    conversation: Scene
    persona: Persona
    deadline: float | None = None


class Scorer:
    """Asks for log-probabilities in nats, each with its end of turn; nothing where there is no reply.

    `personas` are the characters of the checkpoint. All methods raise Busy or EngineError.
    """

    def __init__(self, engine: ReplyEngine, personas: Sequence[Persona]) -> None:
        self._engine = engine
        self._personas = tuple(personas)

    def rivals(self, persona: Persona) -> list[Persona]:
        """Return the other characters."""
        return [one for one in self._personas if one.id != persona.id]

    async def here(self, at: Situation, replies: Sequence[str]) -> list[float]:
        """Return the log-probability of each reply in its conversation."""
        if not replies:
            return []
        return await self._engine.score(ScoreRequest(at.conversation, at.persona, tuple(replies), at.deadline))

    async def nowhere(self, at: Situation, replies: Sequence[str]) -> list[float]:
        """Return the log-probability of each reply after no conversation."""
        return await self.here(replace(at, conversation=Scene(())), replies)

    async def elsewhere(self, at: Situation, replies: Sequence[str]) -> list[tuple[float, ...]]:
        """Return each reply's log-probabilities after what a stranger says to one character or another."""
        scenes = [Scene((Turn(GUEST, text),)) for text in ELSEWHERE]
        names = [self._personas[number % len(self._personas)] for number in range(len(scenes))]
        return await self._table([Situation(*one, at.deadline) for one in zip(scenes, names, strict=True)], replies)

    async def others(self, at: Situation, replies: Sequence[str]) -> list[tuple[float, ...]]:
        """Return each reply's log-probabilities under the other characters' names."""
        return await self._table([replace(at, persona=one) for one in self.rivals(at.persona)], replies)

    async def _table(self, places: Sequence[Situation], replies: Sequence[str]) -> list[tuple[float, ...]]:
        columns = await together(*(self.here(one, replies) for one in places))
        return [tuple(column[at] for column in columns) for at in range(len(replies))]


async def together(*work: Coroutine[Any, Any, _T]) -> list[_T]:
    """Wait for all at once; where one fails, the others are cancelled and its exception is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
