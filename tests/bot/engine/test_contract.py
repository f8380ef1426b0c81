"""What every engine promises: the same assertions over the scripted one, real models, and a server that has them."""

import asyncio
import copy
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bot.engine.completions import Server
from bot.engine.local import LocalEngine
from bot.engine.protocol import (
    SCORES_A_REPLY,
    Busy,
    EngineError,
    GenerateRequest,
    ReplyEngine,
    Sampling,
    ScoreRequest,
)
from bot.engine.remote import RemoteEngine
from bot.engine.scripted import ScriptedEngine
from tests.bot.engine.completions_server import CompletionsServer
from tests.bot.engine.pupils import JOEY, REPLY, SCENE, taught

GREEDY = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0))
FREE = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=1.5, top_p=1.0))


class Gate:
    """Holds an engine back until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def wait(self) -> None:
        assert self._open.wait(30)

    async def passed(self, request: GenerateRequest) -> None:
        await asyncio.to_thread(self.wait)


@pytest.fixture(scope="module")
def pupils(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder: Path = tmp_path_factory.mktemp("pupils")
    made = {kind: taught(kind, folder) for kind in ("gpt2", "llama")}
    # An engine keeps the model it gets, so the servers have others.
    return made | {f"remote {kind}": copy.deepcopy(one) for kind, one in made.items()}


@pytest.fixture
async def servers(pupils: dict) -> AsyncIterator[dict]:
    async with AsyncExitStack() as stack:
        yield {
            kind: await stack.enter_async_context(CompletionsServer(pupils[f"remote {kind}"]))
            for kind in ("gpt2", "llama")
        }


@pytest.fixture(params=["scripted", "gpt2", "llama", "remote gpt2", "remote llama"])
async def make(
    request: pytest.FixtureRequest, pupils: dict, servers: dict
) -> AsyncIterator[Callable[..., ReplyEngine]]:
    """Make an engine that answers SCENE with REPLY; a gate holds its first answer back."""
    made: list[ReplyEngine] = []

    def maker(*, gate: Gate | None = None, queue_size: int = 32) -> ReplyEngine:
        def load():
            if gate:
                gate.wait()
            return pupils[request.param]

        if request.param == "scripted":
            made.append(ScriptedEngine([REPLY], gate=gate.passed if gate else None, queue_size=queue_size))
        elif request.param.startswith("remote"):
            kind = request.param.removeprefix("remote ")
            servers[kind].held = gate.wait if gate else None
            load = partial(getattr, pupils[kind], "screenplay")
            made.append(RemoteEngine(Server(servers[kind].url), load, queue_size=queue_size, context=128))
        else:
            made.append(LocalEngine(load, queue_size=queue_size, context=128))
        return made[-1]

    yield maker
    for engine in made:
        await engine.aclose()


async def asked(engine: ReplyEngine, request: GenerateRequest) -> asyncio.Task:
    """Ask, and return once the engine has the request in hand."""
    task = asyncio.create_task(engine.generate(request))
    await asyncio.sleep(0.01)
    assert not task.done()
    return task


async def test_a_reply_ends_at_its_end_and_carries_no_tag(make):
    [candidate] = await make().generate(GREEDY)
    assert candidate.text == REPLY
    assert candidate.finish_reason == "stop"
    assert 1 < candidate.tokens <= GREEDY.longest
    assert -math.inf < candidate.logprob < 0


async def test_as_many_candidates_come_as_were_asked_for(make):
    candidates = await make().generate(replace(GREEDY, n=3))
    assert [one.text for one in candidates] == [REPLY] * 3


async def test_a_reply_is_never_longer_than_asked(make):
    [candidate] = await make().generate(replace(GREEDY, longest=3))
    assert (candidate.tokens, candidate.finish_reason) == (3, "length")
    assert REPLY.startswith(candidate.text)


async def test_a_seed_repeats_a_reply_whatever_came_between(make):
    engine = make()
    first = await engine.generate(replace(FREE, seed=7, n=2))
    await engine.generate(FREE)
    assert await engine.generate(replace(FREE, seed=7, n=2)) == first


async def test_a_score_is_the_logprob_of_the_reply_with_its_end(make):
    engine = make()
    [candidate] = await engine.generate(GREEDY)
    [score] = await engine.score(ScoreRequest(SCENE, JOEY, (REPLY,)))
    assert score == pytest.approx(candidate.logprob, abs=1e-3)


async def test_every_reply_gets_its_own_score(make):
    engine = make()
    replies = ("Hello!", REPLY, "what about the soup?", "", "I am fine " * 4)
    together = await engine.score(ScoreRequest(SCENE, JOEY, replies))
    alone = [(await engine.score(ScoreRequest(SCENE, JOEY, (one,))))[0] for one in replies]
    assert together == pytest.approx(alone, abs=1e-3)
    assert len(set(together)) == len(replies)
    assert await engine.score(ScoreRequest(SCENE, JOEY, ())) == []


async def test_out_of_time_before_the_first_word(make):
    request = replace(GREEDY, n=2, deadline=time.monotonic() - 1)
    candidates = await make().generate(request)
    assert [(one.text, one.tokens, one.finish_reason) for one in candidates] == [("", 0, "deadline")] * 2


async def test_out_of_time_while_waiting(make):
    gate = Gate()
    engine = make(gate=gate)
    candidates = await engine.generate(replace(GREEDY, deadline=time.monotonic() + 0.05))
    assert [one.finish_reason for one in candidates] == ["deadline"]
    gate.open()


async def test_busy_at_once_when_the_queue_is_full(make):
    gate = Gate()
    engine = make(gate=gate, queue_size=2)
    waiting = [await asked(engine, GREEDY), await asked(engine, GREEDY)]
    with pytest.raises(Busy):
        await engine.generate(GREEDY)
    gate.open()
    assert [[one.text for one in candidates] for candidates in await asyncio.gather(*waiting)] == [[REPLY], [REPLY]]
    assert await engine.generate(GREEDY)


async def test_replies_are_scored_while_the_queue_is_full(make):
    gate = Gate()
    engine = make(gate=gate, queue_size=1)
    waiting = await asked(engine, GREEDY)
    scores = [asyncio.create_task(engine.score(ScoreRequest(SCENE, JOEY, (REPLY,)))) for _ in range(SCORES_A_REPLY)]
    await asyncio.sleep(0.01)
    with pytest.raises(Busy):
        await engine.generate(GREEDY)
    gate.open()
    assert (await waiting)[0].text == REPLY
    assert len({round(one, 2) for [one] in await asyncio.gather(*scores)}) == 1


async def test_a_cancelled_request_frees_its_place(make):
    gate = Gate()
    engine = make(gate=gate, queue_size=1)
    waiting = await asked(engine, GREEDY)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open()
    assert await engine.generate(GREEDY)


async def test_closing_gives_up_what_is_in_hand(make):
    gate = Gate()
    engine = make(gate=gate)
    waiting = [await asked(engine, GREEDY), await asked(engine, GREEDY)]
    asyncio.get_running_loop().call_later(0.05, gate.open)
    await engine.aclose()
    for task in waiting:
        with pytest.raises(EngineError, match="closed"):
            await task
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(GREEDY)
    with pytest.raises(EngineError, match="closed"):
        await engine.score(ScoreRequest(SCENE, JOEY, (REPLY,)))
