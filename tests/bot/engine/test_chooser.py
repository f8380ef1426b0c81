"""Sampling, guard and ranking joined, over the scripted engine and one whose scores stand in a table."""

import asyncio
import logging
import time
from dataclasses import replace

import pytest

from bot.engine.chooser import CUT_OFF, Chooser, ChooserOptions
from bot.engine.protocol import Abilities, Busy, EngineError, Sampling
from bot.engine.scripted import ScriptedEngine
from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn
from tests.bot.engine.tables import TableEngine, drawn

FRIENDS = friends()
JOEY = find_persona("joey", FRIENDS)
SCENE = Scene((Turn("Guest", "hi"), Turn(JOEY.name, "I could eat a whole turkey."), Turn("Guest", "really?")))
SEVERAL = Abilities(candidates=3)


async def test_the_request_carries_what_was_set():
    engine = ScriptedEngine(["Hey!"])
    chooser = Chooser(engine, FRIENDS, ChooserOptions(Sampling(temperature=0.1), longest=7))
    candidate = await chooser.choose(SCENE, JOEY, seed=3, deadline=time.monotonic() + 60)
    assert candidate is not None
    assert candidate.text == "Hey!"
    [asked] = engine.asked
    assert (asked.conversation, asked.persona, asked.n) == (SCENE, JOEY, 1)
    assert (asked.sampling.temperature, asked.longest, asked.seed) == (0.1, 7, 3)
    assert asked.deadline is not None


@pytest.mark.parametrize(("wanted", "count"), [(None, 3), (5, 5)])
async def test_as_many_are_drawn_at_once_as_asked_for_or_as_the_engine_advises(wanted, count):
    engine = ScriptedEngine(["Hey!"], abilities=SEVERAL)
    await Chooser(engine, FRIENDS, ChooserOptions(candidates=wanted)).choose(SCENE, JOEY)
    assert [request.n for request in engine.asked] == [count]


async def test_a_refused_reply_is_drawn_again_with_another_seed():
    engine = ScriptedEngine(["Chandler: hi", "Well, hi."])
    found = await Chooser(engine, FRIENDS).consider(SCENE, JOEY, seed=3)
    assert found.chosen is not None
    assert found.chosen.text == "Well, hi."
    first, second = (request.seed for request in engine.asked)
    assert first == 3
    assert second not in (None, *range(1000))  # the seeds of the replies to come
    assert [one.refusal for one in found.candidates] == ["another speaker", None]


async def test_without_a_seed_none_is_made_up():
    engine = ScriptedEngine(["..."])
    await Chooser(engine, FRIENDS).choose(SCENE, JOEY)
    assert [request.seed for request in engine.asked] == [None, None]


async def test_nothing_is_said_where_the_guard_lets_nothing_pass():
    engine = ScriptedEngine(["yeah yeah yeah"], abilities=SEVERAL)
    found = await Chooser(engine, FRIENDS, ChooserOptions(attempts=3)).consider(SCENE, JOEY)
    assert found.chosen is None
    assert len(engine.asked) == 3
    assert [one.refusal for one in found.candidates] == ["loop"] * 9
    assert engine.scored == []


async def test_a_reply_is_always_one_line():
    engine = TableEngine([drawn("Well,\n  hi \t there.")])
    candidate = await Chooser(engine, FRIENDS).choose(SCENE, JOEY)
    assert candidate is not None
    assert candidate.text == "Well, hi there."
    assert candidate.logprob == -10.0


@pytest.mark.parametrize(
    ("said", "longest", "text"),
    [
        ("Hi there. How are you, my old friend?", 5, "Hi there."),
        ("Well, how are you, my old friend?", 5, None),
        ("Hi there. How are you?", 50, "Hi there. How are you?"),
        ("It costs 3.50 or so, I think", 4, None),
        ("It costs 3.50 or so, I think", 50, "It costs 3.50 or so, I think"),
    ],
)
async def test_a_reply_that_was_cut_off_ends_with_a_sentence(said: str, longest: int, text: str | None):
    options = ChooserOptions(longest=longest, attempts=1)
    found = await Chooser(ScriptedEngine([said]), FRIENDS, options).consider(SCENE, JOEY)
    assert (found.chosen and found.chosen.text) == text
    assert [one.refusal for one in found.candidates] == [None if text else CUT_OFF]


@pytest.mark.parametrize("said", ["... and I was like", "I could eat a whole turkey. And then"])
async def test_what_a_cut_leaves_is_guarded_too(said: str):
    options = ChooserOptions(longest=len(said.split()))
    candidate = await Chooser(ScriptedEngine([said, "Well, hi."]), FRIENDS, options).choose(SCENE, JOEY)
    assert candidate is not None
    assert candidate.text == "Well, hi."


async def test_what_a_cut_takes_away_is_guarded_too():
    engine = TableEngine([drawn("Well, hi. Chandler: hey", reason="length"), drawn("Hi, you.")])
    candidate = await Chooser(engine, FRIENDS).choose(SCENE, JOEY)
    assert candidate is not None
    assert candidate.text == "Hi, you."


async def test_the_offensive_and_the_copied_never_leave():
    engine = ScriptedEngine(["you turnip", "you script", "you friend"], abilities=SEVERAL)
    chooser = Chooser(engine, FRIENDS, copied=lambda text: "script" in text)
    found = await chooser.consider(SCENE, JOEY, offensive=lambda text: "turnip" in text)
    assert [one.refusal for one in found.candidates] == ["offensive", "copied", None]
    assert found.chosen is not None
    assert found.chosen.text == "you friend"
    assert engine.scored == []  # with one left there is nothing to rank
    everywhere = await chooser.choose(SCENE, JOEY)  # what offends is said by chat
    assert everywhere is not None


async def test_a_duplicate_is_scored_once_and_told_twice():
    engine = TableEngine([drawn("Hey you."), drawn("Hey  you.", -9.0), drawn("Oh no.")])
    found = await Chooser(engine, FRIENDS).consider(SCENE, JOEY)
    [nowhere] = engine.told("nowhere")
    assert nowhere.replies == ("Hey you.", "Oh no.")
    first, second, _ = found.candidates
    assert first == second
    assert first.score is not None


async def test_what_each_step_takes_is_told():
    engine = TableEngine([drawn("Hey you."), drawn("Oh no.")], fails={"nowhere": 0.02, "others": 0.03})
    found = await Chooser(engine, FRIENDS).consider(SCENE, JOEY)
    assert found.seconds.keys() == {"drawing", "guard", "nowhere", "names"}
    assert found.seconds["nowhere"] >= 0.02
    assert found.seconds["names"] >= 0.03
    alone = await Chooser(replace(engine, candidates=[drawn("Hey you.")]), FRIENDS).consider(SCENE, JOEY)
    assert alone.seconds.keys() == {"drawing", "guard"}


async def test_there_is_no_second_attempt_after_the_deadline():
    engine = ScriptedEngine(["one two three"], gate=lambda request: asyncio.sleep(60))
    assert await Chooser(engine, FRIENDS).choose(SCENE, JOEY, deadline=time.monotonic() + 0.05) is None
    assert len(engine.asked) == 1


async def test_an_engine_that_is_not_ready_in_time_says_nothing():
    engine = TableEngine([drawn("Hey you.")], fails={"ready": 60.0})
    assert await Chooser(engine, FRIENDS).choose(SCENE, JOEY, deadline=time.monotonic() + 0.05) is None
    assert engine.asked == []
    assert engine.cancelled == 1


async def test_busy_is_passed_on():
    with pytest.raises(Busy):
        await Chooser(ScriptedEngine([Busy("full")]), FRIENDS).choose(SCENE, JOEY)


async def test_closing_closes_the_engine():
    engine = ScriptedEngine(["hi"])
    chooser = Chooser(engine, FRIENDS)
    await chooser.aclose()
    with pytest.raises(EngineError, match="closed"):
        await chooser.choose(SCENE, JOEY)


async def test_nothing_is_logged_where_all_is_known(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="bot")
    await Chooser(ScriptedEngine(["Hey.", "Oh no.", "I see."], abilities=SEVERAL), FRIENDS).choose(SCENE, JOEY)
    assert caplog.records == []
