"""From an incoming message to a reply: the straight line. Knows no platform, no model, no database."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from bot import logs
from bot.conversation import Address, ConversationHistory, HistoryError, StoredTurn
from bot.engine.protocol import Busy, Candidate, EngineError
from bot.inhand import GivenUpError, InHand
from bot.turns import TurnTaking
from persona.characters import Persona, find_persona
from persona.dialogue import Scene, Turn
from persona.harmless import guest_name

__all__ = ["Address", "Incoming", "Replier", "ReplierOptions", "Reply", "ReplyChooser"]

BUSY = "I'm talking to too many people at once. Give me a moment and ask me again."
NO_ENGINE = "I can't think of anything right now. Try again in a moment."
NO_MEMORY = "I can't reach my memory right now. Try again in a moment."
LEAVING = "I have to go now. Ask me again later."

_log = logs.logger("replier")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message addressed to the bot, the mention already cut from `text`; `sent_at` is UTC."""

    address: Address
    message_id: str
    author_id: str
    author_name: str
    text: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say. Only a "reply" is stored; a "notice" is about the bot itself."""

    text: str
    persona: Persona
    kind: Literal["reply", "fallback", "greeting", "notice"]


@dataclass(frozen=True, slots=True)
class ReplierOptions:
    """How to reply.

    `seconds` is how long one reply may take, `waiting` how many messages may wait in a
    conversation. With a `seed`, the k-th reply of the process is drawn with `seed + k`. `days` is
    how long the history lives after the last message, None where nothing is stored.
    """

    default_persona: str = "joey"
    recent_turns: int = 40
    seconds: float = 60.0
    waiting: int = 16
    seed: int | None = None
    model: str | None = None
    days: int | None = 30


class ReplyChooser(Protocol):
    """What the replier asks of `bot.engine.chooser.Chooser`."""

    async def choose(
        self, conversation: Scene, persona: Persona, *, seed: int | None = None, deadline: float | None = None
    ) -> Candidate | None:
        """Return what to say next, None where nothing that came may be said; raises EngineError."""
        ...


class Replier:
    """Answers messages in character: in order within a conversation, side by side across them.

    All methods but `reply` raise HistoryError, whose sentence may be shown to the user.
    """

    def __init__(
        self,
        chooser: ReplyChooser,
        history: ConversationHistory,
        personas: Sequence[Persona],
        options: ReplierOptions | None = None,
    ) -> None:
        """Raise PersonaError where the default persona is not among `personas`."""
        self.personas = tuple(personas)
        self._chooser = chooser
        self._history = history
        self._options = options or ReplierOptions()
        self._default = find_persona(self._options.default_persona, self.personas)
        self._turns = TurnTaking()
        self._in_hand = InHand()
        self._forgotten: dict[tuple[str, str, str], int] = {}
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

    async def once(
        self, command: Incoming, do: Callable[[Incoming], Awaitable[str]], *, in_turn: bool = False
    ) -> str | None:
        """Do what a command asks for; None where that was done before (a message delivered twice).

        `in_turn` takes its place in the conversation's queue before anything is awaited.
        """
        async with self._turns.turn(command.address) if in_turn else nullcontext():
            if not await self._history.first_time(command.address, command.message_id):
                return None
            return await do(command)

    async def persona_of(self, address: Address) -> Persona:
        """Return the persona chosen for this conversation, else the default."""
        chosen = await self._history.persona(address)
        return next((one for one in self.personas if one.id == chosen), self._default)

    async def choose_persona(self, address: Address, wanted: str) -> Persona:
        """Let another persona speak in this conversation; raises PersonaError if there is none such."""
        persona = find_persona(wanted, self.personas)
        async with self._turns.turn(address):
            await self._history.choose(address, persona.id)
        return persona

    async def reset(self, address: Address) -> None:
        """Empty the conversation for all personas; the chosen one stays."""
        async with self._turns.turn(address):
            await self._history.reset(address)

    async def forget(self, address: Address, author_id: str) -> int:
        """Drop the author's turns, and the answers to them, in every conversation of this bot.

        Does not wait for replies in hand: they are still given, but no longer stored.
        """
        author = (address.platform, address.bot_id, author_id)
        self._forgotten[author] = self._forgotten.get(author, 0) + 1
        return await self._history.forget(*author)

    async def migrate(self, old: Address, new: Address) -> None:
        """Move a chat, with all its threads, that has got another id."""
        async with self._turns.turn(old), self._turns.turn(new):
            await self._history.migrate(old, new)

    def help_text(self) -> str:
        """Return the commands, and what is stored for how long."""
        days = self._options.days
        kept = (
            "Nothing of this conversation is stored."
            if days is None
            else "I keep the messages addressed to me and my replies, with the names shown on them, "
            f"until this conversation has been silent for {days} day{'s' if days != 1 else ''}."
        )
        names = ", ".join(persona.id for persona in self.personas)
        return "\n".join(
            (
                f"/persona NAME - talk to somebody else: {names}",
                "/reset - forget this conversation",
                "/forget - forget everything you ever said to me, everywhere, and my answers to it",
                "/help - this text",
                "",
                kept,
            )
        )

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
        candidate = await self._choose(self._scene([*past, asked], persona), persona)
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

    async def _choose(self, scene: Scene, persona: Persona) -> Candidate | None:
        options = self._options
        seed = None if options.seed is None else options.seed + self._replies
        self._replies += 1
        return await self._chooser.choose(scene, persona, seed=seed, deadline=time.monotonic() + options.seconds)

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
