"""The script itself; the contract that it shares with the local engine is in test_contract."""

import asyncio

import pytest

from bot.engine.protocol import EngineError, GenerateRequest, ScoreRequest
from bot.engine.scripted import ScriptedEngine
from persona.characters import friends
from persona.dialogue import Scene, Turn

JOEY = friends()[0]


def request(text: str = "Hi", **fields: object) -> GenerateRequest:
    return GenerateRequest(Scene((Turn("Sam", text),)), JOEY, **fields)


async def said(engine: ScriptedEngine, **fields: object) -> list[str]:
    return [candidate.text for candidate in await engine.generate(request(**fields))]


async def test_it_says_its_lines_in_order_and_starts_over() -> None:
    engine = ScriptedEngine(["1", "2", lambda request: f"Hi {request.conversation.turns[-1].name}"])
    assert [await said(engine) for _ in range(4)] == [["1"], ["2"], ["Hi Sam"], ["1"]]
    assert await said(engine, n=3) == ["2", "Hi Sam", "1"]


async def test_it_raises_what_the_script_says() -> None:
    engine = ScriptedEngine([EngineError("broken"), "fine"])
    with pytest.raises(EngineError, match="broken"):
        await said(engine)
    assert await said(engine) == ["fine"]
    with pytest.raises(ValueError, match="at least one line"):
        ScriptedEngine([])


async def test_it_records_what_it_was_asked() -> None:
    engine = ScriptedEngine(["1"])
    await engine.generate(request("one", seed=3))
    score = ScoreRequest(request().conversation, JOEY, ("a", "b"))
    await engine.score(score)
    assert engine.asked == [request("one", seed=3)]
    assert engine.scored == [score]


async def test_a_busy_engine_records_and_says_nothing() -> None:
    gate = asyncio.Event()
    engine = ScriptedEngine(["1", "2"], gate=lambda _: gate.wait(), queue_size=1)
    first = asyncio.create_task(said(engine))
    await asyncio.sleep(0)
    with pytest.raises(EngineError):
        await said(engine)
    gate.set()
    assert await first == ["1"]
    assert len(engine.asked) == 1
    assert await said(engine) == ["2"]
