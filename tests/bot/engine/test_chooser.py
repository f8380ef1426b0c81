"""Sampling and guard joined, over the scripted engine."""

import asyncio
import time

import pytest

from bot.engine.chooser import Chooser
from bot.engine.protocol import Busy, Candidate, EngineError, Sampling
from bot.engine.scripted import ScriptedEngine
from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn

FRIENDS = friends()
JOEY = find_persona("joey", FRIENDS)
SCENE = Scene((Turn("Guest", "hi"), Turn(JOEY.name, "I could eat a whole turkey."), Turn("Guest", "really?")))


async def test_the_request_carries_what_was_set():
    engine = ScriptedEngine(["Hey!"])
    chooser = Chooser(engine, FRIENDS, sampling=Sampling(temperature=0.1), longest=7)
    candidate = await chooser.choose(SCENE, JOEY, seed=3, deadline=time.monotonic() + 60)
    assert candidate is not None
    assert candidate.text == "Hey!"
    [asked] = engine.asked
    assert (asked.conversation, asked.persona, asked.n) == (SCENE, JOEY, 1)
    assert (asked.sampling.temperature, asked.longest, asked.seed) == (0.1, 7, 3)
    assert asked.deadline is not None


async def test_a_refused_reply_is_drawn_again_with_another_seed():
    engine = ScriptedEngine(["Chandler: hi", "Well, hi."])
    candidate = await Chooser(engine, FRIENDS).choose(SCENE, JOEY, seed=3)
    assert candidate is not None
    assert candidate.text == "Well, hi."
    first, second = (request.seed for request in engine.asked)
    assert first == 3
    assert second not in (None, *range(1000))  # the seeds of the replies to come


async def test_without_a_seed_none_is_made_up():
    engine = ScriptedEngine(["..."])
    await Chooser(engine, FRIENDS).choose(SCENE, JOEY)
    assert [request.seed for request in engine.asked] == [None, None]


async def test_nothing_is_said_where_the_guard_lets_nothing_pass():
    engine = ScriptedEngine(["yeah yeah yeah"])
    assert await Chooser(engine, FRIENDS, attempts=3).choose(SCENE, JOEY) is None
    assert len(engine.asked) == 3


class OneAnswer:
    """An engine that says one text, white space and all, which the scripted one would not."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def generate(self, request):
        return [Candidate(self._text, -1.0, 3, "stop")]

    async def score(self, request):
        return [-1.0 for _ in request.replies]

    async def aclose(self):
        pass


async def test_a_reply_is_always_one_line():
    candidate = await Chooser(OneAnswer("Well,\n  hi \t there."), FRIENDS).choose(SCENE, JOEY)
    assert candidate is not None
    assert candidate.text == "Well, hi there."


@pytest.mark.parametrize(
    ("said", "longest", "text"),
    [
        ("Hi there. How are you, my old friend?", 5, "Hi there."),
        ("Well, how are you, my old friend?", 5, "Well, how are you, my"),
        ("Hi there. How are you?", 50, "Hi there. How are you?"),
        ("It costs 3.50 or so, I think", 4, "It costs 3.50 or"),
    ],
)
async def test_a_reply_that_was_cut_off_ends_with_a_sentence(said: str, longest: int, text: str):
    candidate = await Chooser(ScriptedEngine([said]), FRIENDS, longest=longest).choose(SCENE, JOEY)
    assert candidate is not None
    assert candidate.text == text


@pytest.mark.parametrize("said", ["... and I was like", "I could eat a whole turkey. And then"])
async def test_what_a_cut_leaves_is_guarded_too(said: str):
    longest = len(said.split())
    candidate = await Chooser(ScriptedEngine([said, "Well, hi."]), FRIENDS, longest=longest).choose(SCENE, JOEY)
    assert candidate is not None
    assert candidate.text == "Well, hi."


async def test_the_offensive_never_leaves():
    engine = ScriptedEngine(["you turnip", "you friend"])
    candidate = await Chooser(engine, FRIENDS, offensive=lambda text: "turnip" in text).choose(SCENE, JOEY)
    assert candidate is not None
    assert candidate.text == "you friend"


async def test_there_is_no_second_attempt_after_the_deadline():
    engine = ScriptedEngine(["one two three"], gate=lambda request: asyncio.sleep(60))
    assert await Chooser(engine, FRIENDS).choose(SCENE, JOEY, deadline=time.monotonic() + 0.05) is None
    assert len(engine.asked) == 1


async def test_busy_is_passed_on():
    with pytest.raises(Busy):
        await Chooser(ScriptedEngine([Busy("full")]), FRIENDS).choose(SCENE, JOEY)


async def test_closing_closes_the_engine():
    engine = ScriptedEngine(["hi"])
    chooser = Chooser(engine, FRIENDS)
    await chooser.aclose()
    with pytest.raises(EngineError, match="closed"):
        await chooser.choose(SCENE, JOEY)
