"""The filter that a chat chooses: who it holds for, and that it reaches the chooser. Redis is real."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.commands import filter_sentence
from bot.conversation import HistoryError
from bot.engine.chooser import Chooser
from bot.engine.protocol import Candidate, GenerateRequest
from bot.engine.scripted import ScriptedEngine
from bot.ephemeral import EphemeralHistory
from bot.history import History
from bot.replier import NO_MEMORY, Address, Incoming, Replier, ReplierOptions
from bot.words import LevelError, offensive
from persona.characters import Persona, friends
from persona.dialogue import Scene

A = Address("telegram", "1", "-100")
B = replace(A, chat="-200")
TOPIC = replace(A, thread="5")
THREAT, SWEARING, KIND = "I'll kill you, you know.", "Oh, damn it, not again.", "Hey, nice hat."
_ids = itertools.count()


def message(address: Address = A, text: str = "Hi") -> Incoming:
    return Incoming(address, f"m{next(_ids)}", "7", "Sam", text, datetime.now(UTC))


class RecordingChooser:
    """Says the same to everybody, and remembers which filter it was handed."""

    def __init__(self) -> None:
        self.handed: list[Callable[[str], bool] | None] = []

    async def choose(
        self,
        conversation: Scene,
        persona: Persona,
        *,
        seed: int | None = None,
        deadline: float | None = None,
        offensive: Callable[[str], bool] | None = None,
    ) -> Candidate | None:
        self.handed.append(offensive)
        return Candidate(KIND, -1.0, 4, "stop")


def replier_of(script: list[str], history: History | EphemeralHistory, **options: object) -> Replier:
    return Replier(Chooser(ScriptedEngine(script), friends()), history, friends(), ReplierOptions(**options))


async def kinds(replier: Replier, *addresses: Address) -> list[str]:
    return [(await replier.reply(message(address))).kind for address in addresses]


async def test_the_chooser_is_handed_what_the_chat_has_chosen(history: History) -> None:
    chooser = RecordingChooser()
    replier = Replier(chooser, history, friends())
    for level in (None, "strict", "off", "slurs"):
        if level:
            await replier.choose_filter(A, level)
        await replier.reply(message())
    assert chooser.handed == [offensive("slurs"), offensive("strict"), None, offensive("slurs")]


@pytest.mark.parametrize(
    ("level", "spoken"), [("off", [THREAT, SWEARING, KIND]), ("slurs", [SWEARING, KIND]), ("strict", [KIND])]
)
async def test_what_is_kept_back_is_never_said(history: History, level: str, spoken: list[str]) -> None:
    for text in (THREAT, SWEARING, KIND):
        replier = replier_of([text], history)
        await replier.choose_filter(A, level)
        reply = await replier.reply(message())
        assert (reply.kind, reply.text in reply.persona.fallbacks) == (
            ("reply", False) if text in spoken else ("fallback", True)
        )


async def test_the_filter_is_the_chats_and_its_threads_and_nobody_elses(history: History) -> None:
    replier = replier_of([SWEARING], history)
    assert await replier.choose_filter(TOPIC, "Strict") == "strict"
    assert [await replier.filter_of(one) for one in (A, TOPIC, B)] == ["strict", "strict", "slurs"]
    assert await kinds(replier, A, TOPIC, B) == ["fallback", "fallback", "reply"]


async def test_a_filter_holds_for_the_message_right_behind_it(history: History) -> None:
    replier = replier_of([SWEARING], history)
    before = asyncio.create_task(replier.reply(message()))
    choosing = asyncio.create_task(replier.choose_filter(A, "strict"))
    after = asyncio.create_task(replier.reply(message()))
    await asyncio.gather(before, choosing, after)
    assert [before.result().kind, after.result().kind] == ["reply", "fallback"]


async def test_the_filter_outlives_the_process_a_reset_and_a_move(history: History) -> None:
    await replier_of([KIND], history).choose_filter(A, "strict")
    again = replier_of([KIND], history)
    await again.reset(A)
    await again.forget(A, "7")
    assert await again.filter_of(A) == "strict"
    await again.migrate(A, B)
    assert (await again.filter_of(B), await again.filter_of(A)) == ("strict", "slurs")


async def test_the_default_holds_where_nothing_is_chosen() -> None:
    replier = replier_of([SWEARING], EphemeralHistory(), filter="strict")
    assert await replier.filter_of(A) == "strict"
    assert await kinds(replier, A) == ["fallback"]
    await replier.choose_filter(A, "slurs")
    assert await kinds(replier, A) == ["reply"]


async def test_a_level_of_another_version_is_the_default(history: History) -> None:
    await history.set_filter_level(A, "medium")
    assert await replier_of([KIND], history).filter_of(A) == "slurs"


async def test_an_unknown_level_changes_nothing(history: History) -> None:
    replier = replier_of([KIND], history)
    await replier.choose_filter(A, "strict")
    with pytest.raises(LevelError, match="choose one of off, slurs, strict"):
        await replier.choose_filter(A, "none")
    assert await replier.filter_of(A) == "strict"


async def test_nothing_is_said_when_the_filter_cannot_be_read() -> None:
    class Forgetful(EphemeralHistory):
        async def filter_level(self, address: Address) -> str | None:
            raise HistoryError(NO_MEMORY)

    chooser = RecordingChooser()
    reply = await Replier(chooser, Forgetful(), friends()).reply(message())
    assert (reply.kind, reply.text, chooser.handed) == ("notice", NO_MEMORY, [])


@pytest.mark.parametrize(("level", "means"), [("off", "anything"), ("slurs", "make no threats"), ("strict", "swear")])
def test_a_level_is_explained(level: str, means: str) -> None:
    text = filter_sentence(level)
    assert text.startswith(f"The filter is {level}: ")
    assert means in text


def test_help_says_what_no_character_will_admit() -> None:
    assert "played by a computer program" in replier_of([KIND], EphemeralHistory()).help_text()


def test_help_names_the_levels() -> None:
    text = replier_of([KIND], EphemeralHistory()).help_text()
    assert "/filter LEVEL - how I mind my language: off, slurs, strict" in text


async def test_what_is_said_in_a_new_group_while_the_old_one_moves_waits_for_the_persona() -> None:
    thinking, done = asyncio.Event(), asyncio.Event()

    async def gate(request: GenerateRequest) -> None:
        if request.conversation.turns[-1].text == "slow":
            thinking.set()
            await done.wait()

    engine = ScriptedEngine([KIND], gate=gate)
    replier = Replier(Chooser(engine, friends()), EphemeralHistory(), friends())
    await replier.choose_persona(A, "ross")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(replier.reply(message(A, "slow")))
        await thinking.wait()
        tasks.create_task(replier.migrate(A, B))
        said = tasks.create_task(replier.reply(message(B, "in the new group")))
        await asyncio.sleep(0.05)
        assert not said.done()
        done.set()
    reply = said.result()
    assert reply
    assert reply.persona.id == "ross"
