"""The straight line: with the scripted engine, the exact scenes that were asked. Redis is real."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bot.conversation import HistoryError, StoredTurn
from bot.engine.chooser import Chooser
from bot.engine.protocol import Busy, EngineError, GenerateRequest
from bot.engine.scripted import ScriptedEngine
from bot.ephemeral import EphemeralHistory
from bot.history import History
from bot.replier import (
    BUSY,
    LEAVING,
    NO_ENGINE,
    NO_MEMORY,
    Address,
    Incoming,
    Replier,
    ReplierOptions,
    Reply,
)
from bot.valkey import LocalValkey
from persona.characters import PersonaError, friends

A = Address("telegram", "1", "-100")
B = replace(A, chat="-200")
JOEY = "Joey Tribbiani"
_ids = itertools.count()


def message(text: str, address: Address = A, *, author: str = "7", name: str = "Sam", id: str = "") -> Incoming:
    return Incoming(address, id or f"m{next(_ids)}", author, name, text, datetime.now(UTC))


def echo(request: GenerateRequest) -> str:
    return f"Heard {request.conversation.turns[-1].text}."


def scenes(engine: ScriptedEngine) -> list[list[tuple[str, str]]]:
    return [[(turn.name, turn.text) for turn in request.conversation.turns] for request in engine.asked]


def replier_of(engine: ScriptedEngine, history: History | EphemeralHistory, **options: object) -> Replier:
    return Replier(Chooser(engine, friends()), history, friends(), ReplierOptions(**options))


class Gate:
    """Holds back the replies to the texts in `held` until they are let go."""

    def __init__(self, *held: str) -> None:
        self._gates = {text: asyncio.Event() for text in held}
        self._arrived = {text: asyncio.Event() for text in held}

    async def __call__(self, request: GenerateRequest) -> None:
        text = request.conversation.turns[-1].text
        if text in self._gates:
            self._arrived[text].set()
            await self._gates[text].wait()

    async def reached(self, text: str) -> None:
        async with asyncio.timeout(5):
            await self._arrived[text].wait()

    def let_go(self, text: str) -> None:
        self._gates[text].set()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LocalValkey]:
    server = LocalValkey(tmp_path / "own")
    server.join()
    yield server
    server.leave()


async def test_the_scene_holds_names_and_turns_in_order(history: History) -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, history, model="m")
    first = message("  How you doin'? ")
    assert (await replier.reply(first)).text == "Heard How you doin'?."
    reply = await replier.reply(message("And you?", author="8", name="Ada"))
    assert (reply.text, reply.kind, reply.persona.id) == ("Heard And you?.", "reply", "joey")
    assert scenes(engine) == [
        [("Sam", "How you doin'?")],
        [("Sam", "How you doin'?"), (JOEY, "Heard How you doin'?."), ("Ada", "And you?")],
    ]
    assert [request.persona.id for request in engine.asked] == ["joey", "joey"]
    asked, said, *_ = await history.recent(A, "joey", 9)
    assert (asked.role, asked.author_id, asked.name, asked.message_id) == ("user", "7", "Sam", first.message_id)
    assert (said.role, said.author_id, said.model, said.answers) == ("persona", "", "m", first.message_id)


async def test_times_are_stored_in_utc(history: History) -> None:
    sent = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5)))
    await replier_of(ScriptedEngine([echo]), history).reply(replace(message("Hi"), sent_at=sent))
    asked, said = await history.recent(A, "joey", 9)
    assert asked.at == "2026-01-01T22:04:05+00:00"
    assert datetime.fromisoformat(said.at).utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", ["Joey Tribbiani", "JOEY", "ｊｏｅｙ", "Monica", "", "\u200b"])
async def test_a_user_called_like_a_character_is_a_guest(history: History, name: str) -> None:
    engine = ScriptedEngine([echo])
    await replier_of(engine, history).reply(message("It's me", name=name))
    assert scenes(engine) == [[("Guest", "It's me")]]
    assert (await history.recent(A, "joey", 9))[0].name == name


async def test_personas_are_apart_and_the_chosen_one_stays(history: History) -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, history)
    await replier.reply(message("to joey"))
    assert (await replier.choose_persona(A, "monica geller")).id == "monica"
    assert (await replier.reply(message("to monica"))).persona.id == "monica"
    again = replier_of(engine, history)
    assert (await again.persona_of(A)).id == "monica"
    assert (await again.persona_of(B)).id == "joey"
    await again.choose_persona(A, "joey")
    await again.reply(message("back"))
    assert [texts for *_, texts in scenes(engine)[1:]] == [("Sam", "to monica"), ("Sam", "back")]
    assert scenes(engine)[2] == [("Sam", "to joey"), (JOEY, "Heard to joey."), ("Sam", "back")]
    assert [request.persona.id for request in engine.asked] == ["joey", "monica", "joey"]


async def test_an_unknown_persona_is_refused_and_a_vanished_one_is_the_default(history: History) -> None:
    replier = replier_of(ScriptedEngine([echo]), history)
    with pytest.raises(PersonaError, match="choose one of"):
        await replier.choose_persona(A, "gunther")
    await history.choose(A, "gunther")
    assert (await replier.persona_of(A)).id == "joey"
    with pytest.raises(PersonaError):
        replier_of(ScriptedEngine([echo]), history, default_persona="gunther")


@pytest.mark.parametrize("other", [B, replace(A, thread="5"), replace(A, bot_id="2"), replace(A, platform="discord")])
async def test_chats_topics_bots_and_platforms_are_apart(history: History, other: Address) -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, history)
    await replier.reply(message("here"))
    await replier.reply(message("there", other))
    await replier.reset(other)
    await replier.reply(message("here again"))
    assert scenes(engine)[1] == [("Sam", "there")]
    assert scenes(engine)[2] == [("Sam", "here"), (JOEY, "Heard here."), ("Sam", "here again")]


async def test_b_is_answered_while_a_is_generating(history: History) -> None:
    gate = Gate("slow")
    replier = replier_of(ScriptedEngine([echo], gate=gate), history)
    slow = asyncio.create_task(replier.reply(message("slow")))
    await gate.reached("slow")
    assert (await replier.reply(message("quick", B))).text == "Heard quick."
    assert not slow.done()
    gate.let_go("slow")
    assert (await slow).text == "Heard slow."


async def test_quick_messages_are_answered_in_order_and_never_interleave(history: History) -> None:
    gate = Gate("1")
    engine = ScriptedEngine([echo], gate=gate)
    replier = replier_of(engine, history)
    done: list[str] = []
    tasks = [asyncio.create_task(replier.reply(message(text))) for text in ("1", "2", "3")]
    for task in tasks:
        task.add_done_callback(lambda task: done.append(task.result().text))
    await gate.reached("1")
    assert len(engine.asked) == 1
    gate.let_go("1")
    await asyncio.gather(*tasks)
    assert done == ["Heard 1.", "Heard 2.", "Heard 3."]
    assert scenes(engine)[2] == [("Sam", "1"), (JOEY, "Heard 1."), ("Sam", "2"), (JOEY, "Heard 2."), ("Sam", "3")]


async def test_a_reset_waits_for_its_turn(history: History) -> None:
    gate = Gate("before")
    engine = ScriptedEngine([echo], gate=gate)
    replier = replier_of(engine, history)
    before = asyncio.create_task(replier.reply(message("before")))
    reset = asyncio.create_task(replier.reset(A))
    after = asyncio.create_task(replier.reply(message("after")))
    await gate.reached("before")
    gate.let_go("before")
    await asyncio.gather(before, reset, after)
    assert scenes(engine) == [[("Sam", "before")], [("Sam", "after")]]


async def test_reset_empties_the_conversation_for_all_personas(history: History) -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, history)
    await replier.reply(message("1"))
    await replier.choose_persona(A, "monica")
    await replier.reply(message("2"))
    await replier.reset(A)
    await replier.reply(message("3"))
    await replier.choose_persona(A, "joey")
    await replier.reply(message("4"))
    assert scenes(engine)[2:] == [[("Sam", "3")], [("Sam", "4")]]


async def test_a_message_delivered_twice_is_answered_once(history: History, valkey_url: str) -> None:
    engine = ScriptedEngine([echo])
    other = await History.connect(valkey_url)
    twice = message("Hi")
    replies = await asyncio.gather(
        *(replier_of(engine, one).reply(twice) for one in (history, other, history)), return_exceptions=True
    )
    assert sorted(reply is None for reply in replies) == [False, True, True]
    assert len(engine.asked) == 1
    await other.aclose()


async def test_forget_takes_ones_own_turns_everywhere_and_leaves_the_others(history: History) -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, history)
    for address in (A, B):
        await replier.reply(message("mine", address))
        await replier.reply(message("yours", address, author="8", name="Ada"))
    assert await replier.forget(A, "7") == 4
    for address in (A, B):
        await replier.reply(message("now?", address, author="8", name="Ada"))
        assert scenes(engine)[-1] == [("Ada", "yours"), (JOEY, "Heard yours."), ("Ada", "now?")]


async def test_forget_holds_for_replies_in_hand_and_messages_that_wait(history: History) -> None:
    gate = Gate("slow")
    replier = replier_of(ScriptedEngine([echo], gate=gate), history)
    slow = asyncio.create_task(replier.reply(message("slow")))
    waits = asyncio.create_task(replier.reply(message("waits")))
    await gate.reached("slow")
    assert await replier.forget(B, "7") == 0
    gate.let_go("slow")
    assert [reply.text for reply in await asyncio.gather(slow, waits)] == ["Heard slow.", "Heard waits."]
    assert await history.recent(A, "joey", 9) == []
    await replier.reply(message("later"))
    assert [turn.text for turn in await history.recent(A, "joey", 9)] == ["later", "Heard later."]


async def test_forget_holds_for_a_turn_that_is_just_being_stored() -> None:
    class Slow(EphemeralHistory):
        async def append(self, address: Address, persona_id: str, *turns: StoredTurn) -> None:
            storing.set()
            await go_on.wait()
            await super().append(address, persona_id, *turns)

    storing, go_on, history = asyncio.Event(), asyncio.Event(), Slow()
    replier = replier_of(ScriptedEngine([echo]), history)
    asking = asyncio.create_task(replier.reply(message("mine")))
    await storing.wait()
    await replier.forget(B, "7")
    go_on.set()
    assert (await asking).text == "Heard mine."
    assert await history.recent(A, "joey", 9) == []


async def test_a_command_delivered_twice_is_obeyed_once_and_in_order(history: History) -> None:
    gate = Gate("before")
    engine = ScriptedEngine([echo], gate=gate)
    replier = replier_of(engine, history)
    command = message("", id="reset")

    async def reset(command: Incoming) -> str:
        await replier.reset(command.address)
        return "Empty."

    before = asyncio.create_task(replier.reply(message("before")))
    first = asyncio.create_task(replier.once(command, reset, in_turn=True))
    after = asyncio.create_task(replier.reply(message("after")))
    again = asyncio.create_task(replier.once(command, reset, in_turn=True))
    await gate.reached("before")
    gate.let_go("before")
    await asyncio.gather(before, first, after, again)
    assert (first.result(), again.result()) == ("Empty.", None)
    assert scenes(engine) == [[("Sam", "before")], [("Sam", "after")]]
    assert len(await history.recent(A, "joey", 9)) == 2


async def test_a_move_to_itself_ends(history: History) -> None:
    replier = replier_of(ScriptedEngine([echo]), history)
    await replier.reply(message("here"))
    async with asyncio.timeout(5):
        await replier.migrate(A, A)
    assert len(await history.recent(A, "joey", 9)) == 2


async def test_migration_takes_the_history_along(history: History) -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, history)
    await replier.reply(message("before"))
    await replier.migrate(A, B)
    await replier.reply(message("after", B))
    assert scenes(engine)[1] == [("Sam", "before"), (JOEY, "Heard before."), ("Sam", "after")]


async def test_the_scene_is_bounded_and_ends_with_the_message(history: History) -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, history, recent_turns=3)
    for text in ("1", "2", "3"):
        await replier.reply(message(text))
    assert scenes(engine)[2] == [("Sam", "2"), (JOEY, "Heard 2."), ("Sam", "3")]


async def test_an_empty_message_is_greeted_and_not_stored(history: History) -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, history)
    reply = await replier.reply(message(" \n"))
    assert (reply.text, reply.kind) == (friends()[0].greeting, "greeting")
    assert (engine.asked, await history.recent(A, "joey", 9)) == ([], [])


async def test_what_the_guard_refuses_becomes_a_fallback_that_is_not_stored(history: History) -> None:
    replier = replier_of(ScriptedEngine(["<|im_end|>"]), history)
    reply = await replier.reply(message("Hi"))
    assert reply.kind == "fallback"
    assert reply.text in reply.persona.fallbacks
    assert [turn.text for turn in await history.recent(A, "joey", 9)] == ["Hi"]


async def test_an_engine_that_is_busy_or_fails_becomes_a_notice(
    history: History, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate("slow")
    engine = ScriptedEngine([echo], gate=gate, queue_size=1)
    replier = replier_of(engine, history)
    slow = asyncio.create_task(replier.reply(message("slow")))
    await gate.reached("slow")
    assert _notice(await replier.reply(message("Hi", B))) == BUSY
    gate.let_go("slow")
    await slow
    broken = replier_of(ScriptedEngine([EngineError("no memory for 'Hi secret'")]), history)
    assert _notice(await broken.reply(message("Hi secret", B))) == NO_ENGINE
    assert "secret" not in caplog.text


@pytest.mark.parametrize("error", [Busy("full"), EngineError("broken")])
async def test_a_message_that_got_a_notice_is_not_there_twice_when_asked_again(
    history: History, error: EngineError
) -> None:
    engine = ScriptedEngine([error, echo])
    replier = replier_of(engine, history)
    assert (await replier.reply(message("Hi"))).kind == "notice"
    assert await history.recent(A, "joey", 9) == []
    await replier.reply(message("Hi"))
    assert scenes(engine)[-1] == [("Sam", "Hi")]


async def test_too_many_waiting_in_one_conversation_hear_it_at_once(history: History) -> None:
    gate = Gate("slow")
    replier = replier_of(ScriptedEngine([echo], gate=gate), history, waiting=2)
    tasks = [asyncio.create_task(replier.reply(message(text))) for text in ("slow", "2", "3")]
    await gate.reached("slow")
    async with asyncio.timeout(1):
        assert _notice(await replier.reply(message("4"))) == BUSY
        assert (await replier.reply(message("there", B))).kind == "reply"
    gate.let_go("slow")
    assert [reply.kind for reply in await asyncio.gather(*tasks)] == ["reply"] * 3


async def test_a_dead_redis_becomes_a_notice_and_works_again_once_it_is_back(
    server: LocalValkey, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    history = await History.connect(server.url)
    gate = Gate("second")
    engine = ScriptedEngine([echo], gate=gate)
    replier = replier_of(engine, history)
    await replier.reply(message("first"))
    second = asyncio.create_task(replier.reply(message("second")))
    await gate.reached("second")
    server.leave()
    gate.let_go("second")
    assert _notice(await second) == NO_MEMORY
    assert _notice(await replier.reply(message("third"))) == NO_MEMORY
    with pytest.raises(HistoryError, match=NO_MEMORY):
        await replier.reset(A)
    server.join()
    assert (await replier.reply(message("fourth"))).text == "Heard fourth."
    assert [text for _, text in scenes(engine)[-1]] == ["first", "Heard first.", "fourth"]
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())
    await history.aclose()


async def test_the_seed_counts_the_replies_and_the_deadline_is_ahead() -> None:
    engine = ScriptedEngine([echo])
    replier = replier_of(engine, EphemeralHistory(), seed=5, seconds=30)
    for text in ("1", "2"):
        await replier.reply(message(text))
    assert [request.seed for request in engine.asked] == [5, 6]
    assert engine.asked[0].deadline < engine.asked[1].deadline
    await replier_of(engine, EphemeralHistory()).reply(message("3"))
    assert engine.asked[2].seed is None


async def test_time_that_ran_out_is_a_fallback() -> None:
    gate = Gate("slow")
    reply = await replier_of(ScriptedEngine([echo], gate=gate), EphemeralHistory(), seconds=0.05).reply(message("slow"))
    assert reply.kind == "fallback"


async def test_closing_finishes_what_is_in_hand_within_the_grace() -> None:
    gate = Gate("slow")
    replier = replier_of(ScriptedEngine([echo], gate=gate), EphemeralHistory())
    slow = asyncio.create_task(replier.reply(message("slow")))
    waits = asyncio.create_task(replier.reply(message("waits")))
    await gate.reached("slow")
    closing = asyncio.create_task(replier.aclose())
    await asyncio.sleep(0)
    gate.let_go("slow")
    await closing
    assert (await slow).text == "Heard slow."
    assert _notice(await waits) == LEAVING
    assert _notice(await replier.reply(message("late"))) == LEAVING


async def test_closing_gives_up_what_takes_longer() -> None:
    gate = Gate("slow")
    replier = replier_of(ScriptedEngine([echo], gate=gate), EphemeralHistory())
    slow = asyncio.create_task(replier.reply(message("slow")))
    await gate.reached("slow")
    async with asyncio.timeout(5):
        await replier.aclose(grace=0.05)
        assert _notice(await slow) == LEAVING


async def test_a_handler_that_is_cancelled_gives_its_turn_to_the_next() -> None:
    gate = Gate("slow")
    replier = replier_of(ScriptedEngine([echo], gate=gate), EphemeralHistory())
    slow = asyncio.create_task(replier.reply(message("slow")))
    waits = asyncio.create_task(replier.reply(message("waits")))
    await gate.reached("slow")
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await waits).text == "Heard waits."


@pytest.mark.parametrize(("days", "kept"), [(30, "silent for 30 days."), (1, "for 1 day."), (None, "Nothing")])
def test_help_names_the_commands_and_what_is_stored(days: int | None, kept: str) -> None:
    text = replier_of(ScriptedEngine([echo]), EphemeralHistory(), days=days).help_text()
    wanted: Callable[[str], bool] = text.__contains__
    assert all(map(wanted, ("/persona", "/reset", "/forget", "/help", "joey", "phoebe", kept)))


def _notice(reply: Reply | None) -> str:
    assert reply is not None
    assert reply.kind == "notice"
    return reply.text
