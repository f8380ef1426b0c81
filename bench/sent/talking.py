"""The conversations, held through the served path: replier, chooser and engine as the bot has them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.sent.ledger import Draft, Ledger, Sent
from bench.sent.plan import SEEDS_A_TALK, Talk
from bot.conversation import Address, StoredTurn
from bot.engine.chooser import Chooser
from bot.engine.protocol import Candidate
from bot.ephemeral import EphemeralHistory
from bot.replier import BUSY, Incoming, Replier, ReplierOptions, Reply
from persona.characters import Persona, find_persona
from persona.dialogue import Scene

A_CHARACTER = "a character"
_PATIENCE, _PAUSE = 120, 1.0


class TalkError(RuntimeError):
    """A conversation that cannot go on, in one sentence."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the bot talks with: its chooser, and all characters of the checkpoint."""

    chooser: Chooser
    personas: tuple[Persona, ...]


async def hold_all(
    talks: Iterable[Talk], served: Served, ledger: Ledger, at_once: int, tell: Callable[[Sent], None]
) -> None:
    """Hold what is missing of the conversations, `at_once` at a time; raises TalkError as soon as one does."""
    unfinished = iter([(talk, said) for talk in talks if len(said := ledger.of(talk.number)) < talk.turns])

    async def work() -> None:
        for talk, said in unfinished:
            async for sent in hold(talk, served, said):
                ledger.add(sent)
                tell(sent)

    workers = [asyncio.create_task(work()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def hold(talk: Talk, served: Served, said: Sequence[Sent] = ()) -> AsyncIterator[Sent]:
    """Hold a conversation and yield its replies; those in `said` were given before and are not asked for again."""
    cast = [find_persona(one, served.personas) for one in talk.speakers]
    alone = len(cast) == 1
    # A character that talks to another knows it by its name, which would be a stranger's mask otherwise.
    around = [served if alone else Served(served.chooser, (one,)) for one in cast]
    seeds = range(talk.seed, talk.seed + SEEDS_A_TALK, SEEDS_A_TALK // 2)
    speakers = [Speaker(*parts) for parts in zip(around, cast, seeds, strict=False)]
    if not alone:
        await speakers[0].begin(talk.messages[0].text)
    text = ""
    for turn in range(talk.turns):
        message = talk.messages[turn] if turn < len(talk.messages) else None
        partner = None if alone else cast[turn % 2]
        heard = Heard(
            talk.number,
            turn,
            partner.name if partner else talk.stranger,
            message.text if message else text,
            message.kind if message else A_CHARACTER,
            partner.id if partner else "",
        )
        known = said[turn] if turn < len(said) else None
        sent = await speakers[(turn + 1) % len(speakers)].answer(heard, known)
        text = sent.text
        if not known:
            yield sent


@dataclass(frozen=True, slots=True)
class Heard:
    """What a character is told at a turn of a conversation, by whom, and what the record says about it."""

    talk: int
    turn: int
    name: str
    text: str
    asked: str
    partner: str


class Speaker:
    """A character as it is served: behind a replier of its own, with a memory of its own."""

    def __init__(self, served: Served, persona: Persona, seed: int) -> None:
        self._persona = persona
        self._listener = Listener(served.chooser)
        self._history = EphemeralHistory()
        options = ReplierOptions(default_persona=persona.id, seed=seed)
        self._replier = Replier(self._listener, self._history, served.personas, options)
        self._address = Address("bench", "1", persona.id)

    async def begin(self, text: str) -> None:
        """Remember `text` as what it said first."""
        persona = self._persona
        turn = StoredTurn("persona", "", persona.name, text, "", datetime.now(UTC).isoformat(), persona.id)
        await self._history.append(self._address, persona.id, turn)

    async def answer(self, heard: Heard, known: Sent | None) -> Sent:
        """Answer; where the answer is `known` it is said again without the engine."""
        self._listener.begin(known)
        start = time.perf_counter()
        busy, reply = 0, await self._ask(heard, 0)
        while reply.text == BUSY and busy < _PATIENCE:
            await asyncio.sleep(_PAUSE)
            busy += 1
            reply = await self._ask(heard, busy)
        if reply.kind == "notice":
            raise TalkError(f"instead of a reply there came {reply.text!r}")
        return known or Sent(
            talk=heard.talk,
            turn=heard.turn,
            persona=self._persona.id,
            partner=heard.partner,
            asked=heard.asked,
            kind=reply.kind,
            text=reply.text,
            seconds=round(time.perf_counter() - start, 3),
            busy=busy,
            **self._listener.considered,
        )

    async def _ask(self, heard: Heard, times: int) -> Reply:
        message = f"{heard.turn}.{times}"
        incoming = Incoming(self._address, message, heard.name, heard.name, heard.text, datetime.now(UTC))
        reply = await self._replier.reply(incoming)
        if reply is None:
            raise TalkError("a message was taken for one that was answered before")
        return reply


class Listener:
    """Stands where the replier expects its chooser: hands every question on and keeps what was considered."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self.begin(None)

    def begin(self, known: Sent | None) -> None:
        """Forget the last reply; the next one is `known`, or drawn where that is None."""
        self._known = known
        self.considered: dict[str, Any] = {"scene": (), "drafts": (), "steps": {}, "finish_reason": ""}

    async def choose(self, conversation: Scene, persona: Persona, **how: Any) -> Candidate | None:
        """Return what the chooser chooses."""
        if self._known:
            return None if self._known.kind == "fallback" else Candidate(self._known.text, None, 0, "stop")
        found = await self._chooser.consider(conversation, persona, **how)
        self.considered = {
            "scene": tuple((turn.name, turn.text) for turn in conversation.turns),
            "drafts": tuple(
                Draft(one.candidate.text, one.candidate.finish_reason, one.refusal) for one in found.candidates
            ),
            "steps": {step: round(taken, 3) for step, taken in found.seconds.items()},
            "finish_reason": found.chosen.finish_reason if found.chosen else "",
        }
        return found.chosen
