"""From an incoming message to a reply: the straight line. Knows no platform, no model, no database."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from bot import logs
from bot.commands import Commands
from bot.conversation import Address, ConversationHistory, HistoryError, StoredTurn
from bot.engine.protocol import Busy, Candidate, EngineError
from bot.inhand import GivenUpError, InHand
from bot.messages import Incoming, ReplierOptions, Reply
from bot.words import Level, offensive
from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.harmless import guest_name

__all__ = ["Address", "Incoming", "Replier", "ReplierOptions", "Reply", "ReplyChooser"]

BUSY = "I'm talking to too many people at once. Give me a moment and ask me again."
NO_ENGINE = "I can't think of anything right now. Try again in a moment."
NO_MEMORY = "I can't reach my memory right now. Try again in a moment."
LEAVING = "I have to go now. Ask me again later."

_log = logs.logger("replier")


class ReplyChooser(Protocol):
    """What the replier asks of `bot.engine.chooser.Chooser`."""

    async def choose(
        self,
        conversation: Scene,
        persona: Persona,
        *,
        seed: int | None = None,
        deadline: float | None = None,
        offensive: Callable[[str], bool] | None = None,
    ) -> Candidate | None:
        """Return what to say next, None where nothing that came may be said; raises EngineError.

        What `offensive` says yes to may not be said.
        """
        ...


class Replier(Commands):
    """Answers messages in character: in order within a conversation, side by side across them."""

    def __init__(
        self,
        chooser: ReplyChooser,
        history: ConversationHistory,
        personas: Sequence[Persona],
        options: ReplierOptions | None = None,
    ) -> None:
        """Raise PersonaError where the default persona is not among `personas`."""
        super().__init__(history, personas, options or ReplierOptions())
        self._chooser = chooser
        self._in_hand = InHand()
        self._replies = 0
        self._closing = False

    async def reply(self, incoming: Incoming) -> Reply | None:
        """Answer one message; None where it was answered before (a message delivered twice).

        The place in the conversation's queue is taken before anything is awaited, so calling this
        in order of arrival is enough to be answered in that order. Never raises HistoryError or
        EngineError: what went wrong is said in a notice.
        """
        if self._turns.waiting(incoming.address) >= self._options.waiting:
            return self._notice(BUSY)
        forgets = self._forgets(incoming)
        async with self._turns.turn(incoming.address):
            if self._closing:
                return self._notice(LEAVING)
            try:
                return await self._in_hand.do(self._answer(incoming, forgets))
            except GivenUpError:
                return self._notice(LEAVING)

    async def aclose(self, grace: float = 10.0) -> None:
        """Take no more messages; finish the replies in hand within `grace` seconds or give them up."""
        self._closing = True
        await self._in_hand.finish(grace)

    async def _answer(self, incoming: Incoming, forgets: int) -> Reply | None:
        where = logs.hashed(incoming.address.chat)
        try:
            return await self._answer_or_raise(incoming, forgets)
        except HistoryError as error:
            _log.warning("history unreachable", conversation=where, error=_kind(error))
            return self._notice(NO_MEMORY)
        except Busy:
            _log.info("engine busy", conversation=where)
            return self._notice(BUSY)
        except EngineError as error:
            _log.error("engine failed", conversation=where, error=_kind(error))
            return self._notice(NO_ENGINE)

    async def _answer_or_raise(self, incoming: Incoming, forgets: int) -> Reply | None:
        address = incoming.address
        if not await self._history.first_time(address, incoming.message_id):
            return None
        persona = await self.persona_of(address)
        if not incoming.text.strip():
            return Reply(persona.greeting, persona, "greeting")
        past = await self._history.recent(address, persona.id, self._options.recent_turns - 1)
        asked = _asked(incoming, persona)
        level = await self.filter_of(address)
        candidate = await self._choose(self._scene([*past, asked], persona), persona, level)
        if candidate is None:
            await self._store(incoming, forgets, asked)
            return Reply(persona.fallbacks[self._replies % len(persona.fallbacks)], persona, "fallback")
        await self._store(incoming, forgets, asked, self._said(candidate.text, incoming, persona))
        return Reply(candidate.text, persona, "reply")

    async def _store(self, incoming: Incoming, forgets: int, *turns: StoredTurn) -> None:
        """Store a message with its answer, unless its author wants to be forgotten meanwhile.

        Both at once, and nothing before: whoever is told to ask again has not been there yet.
        """
        address = incoming.address
        if self._forgets(incoming) == forgets:
            await self._history.append(address, turns[0].persona, *turns)
            if self._forgets(incoming) != forgets:  # forgotten while this was on its way
                await self._history.forget(address.platform, address.bot_id, incoming.author_id)

    async def _choose(self, scene: Scene, persona: Persona, level: Level) -> Candidate | None:
        options = self._options
        seed = None if options.seed is None else options.seed + self._replies
        self._replies += 1
        deadline = time.monotonic() + options.seconds
        refused = await asyncio.to_thread(offensive, level)  # the first time it imports a library
        return await self._chooser.choose(scene, persona, seed=seed, deadline=deadline, offensive=refused)

    def _scene(self, turns: Sequence[StoredTurn], persona: Persona) -> Scene:
        return Scene(
            tuple(
                Turn(persona.name if turn.role == "persona" else guest_name(turn.name, self.personas), turn.text)
                for turn in turns
            )
        )

    def _said(self, text: str, incoming: Incoming, persona: Persona) -> StoredTurn:
        return StoredTurn(
            role="persona",
            author_id="",
            name=persona.name,
            text=text,
            message_id="",
            at=datetime.now(UTC).isoformat(),
            persona=persona.id,
            model=self._options.model,
            answers=incoming.message_id,
        )

    def _forgets(self, incoming: Incoming) -> int:
        address = incoming.address
        return self._forgotten.get((address.platform, address.bot_id, incoming.author_id), 0)

    def _notice(self, text: str) -> Reply:
        return Reply(text, self._default, "notice")


def _kind(error: Exception) -> str:
    return type(error.__cause__ or error).__name__


def _asked(incoming: Incoming, persona: Persona) -> StoredTurn:
    return StoredTurn(
        role="user",
        author_id=incoming.author_id,
        name=incoming.author_name,
        text=incoming.text.strip(),
        message_id=incoming.message_id,
        at=incoming.sent_at.astimezone(UTC).isoformat(),
        persona=persona.id,
    )
