"""The life of a remote engine: deadlines, cancelling, closing, and what it makes of an answer."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.engine.checkpoints import LoadedCheckpoint
from bot.engine.completions import Server
from bot.engine.protocol import EngineError, GenerateRequest, Sampling, ScoreRequest
from bot.engine.remote import RemoteEngine
from persona.dialogue import Scene, Turn
from tests.bot.engine.completions_server import CompletionsServer, Fault, Manners, failing, hanging, saying
from tests.bot.engine.pupils import JOEY, REPLY, SCENE, taught

GREEDY = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0))
SCORE = ScoreRequest(SCENE, JOEY, (REPLY,))


@pytest.fixture(scope="module")
def pupil(tmp_path_factory: pytest.TempPathFactory) -> LoadedCheckpoint:
    return taught("llama", tmp_path_factory.mktemp("pupil"))


@pytest.fixture
async def server(pupil: LoadedCheckpoint) -> AsyncIterator[CompletionsServer]:
    async with CompletionsServer(pupil) as server:
        yield server


@pytest.fixture
async def engine(server: CompletionsServer, pupil: LoadedCheckpoint) -> AsyncIterator[RemoteEngine]:
    engine = RemoteEngine(Server(server.url), lambda: pupil.screenplay, context=128)
    yield engine
    await engine.aclose()


async def in_hand(server: CompletionsServer, engine: RemoteEngine, request: GenerateRequest) -> asyncio.Task:
    """Ask a server that hangs, and return once it has been asked."""
    await engine.ready()
    before = len(server.asked)
    server.faults = [hanging] * request.n
    task = asyncio.create_task(engine.generate(request))
    await server.until(lambda: len(server.asked) > before)
    return task


async def test_a_deadline_ends_the_request(server, engine):
    await engine.ready()
    server.faults = [hanging] * 2
    begun = time.monotonic()
    candidates = await engine.generate(replace(GREEDY, n=2, deadline=begun + 0.2))
    assert [(one.text, one.tokens, one.finish_reason) for one in candidates] == [("", 0, "deadline")] * 2
    with pytest.raises(EngineError, match="no time left"):
        await engine.score(replace(SCORE, deadline=time.monotonic() + 0.2))
    assert time.monotonic() - begun < 3
    await server.until(lambda: server.given_up == 2)


async def test_no_score_without_time(server, engine):
    with pytest.raises(EngineError, match="no time left"):
        await engine.score(replace(SCORE, deadline=time.monotonic() - 1))
    assert server.asked == []


async def test_a_server_that_lets_long_deadlines_pass_is_left_alone(server, pupil):
    engine = RemoteEngine(Server(server.url), lambda: pupil.screenplay, context=128, patience=0.05)
    await engine.ready()
    server.faults = [hanging] * 9
    for _ in range(5):
        await engine.generate(replace(GREEDY, deadline=time.monotonic() + 0.1))
    with pytest.raises(EngineError, match="did not answer lately"):
        await engine.generate(GREEDY)
    await engine.aclose()


async def test_short_deadlines_say_nothing_of_the_server(server, engine):
    await engine.ready()
    server.faults = [hanging] * 9
    for _ in range(9):
        await engine.generate(replace(GREEDY, deadline=time.monotonic() + 0.05))
    assert [one.text for one in await engine.generate(GREEDY)] == [REPLY]


async def test_cancelling_closes_the_request(server, engine):
    task = await in_hand(server, engine, GREEDY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.until(lambda: server.given_up == 1)
    assert [one.text for one in await engine.generate(GREEDY)] == [REPLY]


async def test_closing_closes_the_request(server, engine):
    task = await in_hand(server, engine, GREEDY)
    await engine.aclose()
    with pytest.raises(EngineError, match="closed"):
        await task
    await server.until(lambda: server.given_up == 1)
    with pytest.raises(EngineError, match="closed"):
        await engine.ready()


async def test_closing_while_the_server_is_being_got_to_know(server, engine):
    server.faults = [hanging]
    tasks = [asyncio.create_task(engine.ready()), asyncio.create_task(engine.generate(GREEDY))]
    await server.until(lambda: bool(server.asked))
    await engine.aclose()
    for task in tasks:
        with pytest.raises(EngineError, match="closed"):
            await task
    assert not [one for one in asyncio.all_tasks() if "RemoteEngine" in repr(one)]


async def test_whoever_leaves_first_takes_nothing_from_the_others(server, engine):
    gate = threading.Event()
    server.held = gate.wait
    first, second = (asyncio.create_task(engine.ready()) for _ in range(2))
    await server.until(lambda: bool(server.asked))
    first.cancel()
    await asyncio.sleep(0.01)
    gate.set()
    assert (await second).scores
    assert first.cancelled()


async def test_after_a_failure_the_server_is_asked_again(server, engine):
    server.faults = [failing(400)]
    with pytest.raises(EngineError, match="refused a request"):
        await engine.ready()
    assert (await engine.ready()).scores


async def test_a_server_that_was_replaced_is_got_to_know_again(server, engine):
    assert (await engine.ready()).scores
    server.manners = Manners(ids=False, echo=False)
    with pytest.raises(EngineError, match="refused a request"):
        await engine.generate(GREEDY)
    assert [one.text for one in await engine.generate(GREEDY)] == [REPLY]
    assert not (await engine.ready()).scores


async def test_where_one_candidate_fails_the_others_are_given_up(server, engine):
    server.manners = Manners(n=1)
    await engine.ready()
    server.faults = [hanging, hanging, failing(400)]
    with pytest.raises(EngineError, match="refused a request"):
        await engine.generate(replace(GREEDY, n=3))
    await server.until(lambda: server.given_up == 2)


async def test_seeds_that_differ_in_high_bits_only_are_different_seeds(server, engine):
    for seed in (7, 7 + (1 << 32), 7 + (1 << 62)):
        await engine.generate(replace(GREEDY, seed=seed))
    assert len({body["seed"] for body in server.asked[-3:]}) == 3


def answer(text: str = "", finished: str | None = "stop", **choice: Any) -> Fault:
    body = {"choices": [{"index": 0, "text": text, "finish_reason": finished} | choice]}
    return saying(json.dumps(body | {"usage": {"completion_tokens": 3}}), "application/json")


END, H = 2, 42  # <|im_end|> and the letter, of the toys


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (answer(" Hey!"), ("Hey!", None, 3, "stop")),
        (answer("Hey!", "length"), ("Hey!", None, 3, "length")),
        (answer("Hey!", "eos_token"), ("Hey!", None, 3, "stop")),
        (answer("Hey!", None), ("Hey!", None, 3, "length")),
        (answer("Hey!", "abort"), ("Hey!", None, 3, "length")),
        (answer("Hey!<|im_end|>\n<|im_start|>Ross", "length"), ("Hey!", None, 3, "stop")),
        (answer("Hey!<|endoftext|><|im_end|>", "length"), ("Hey!", None, 3, "stop")),
        (answer("?", "length", token_ids=[H, END, H]), ("H", None, 2, "stop")),
        (
            answer("?", "length", token_ids=[H, H], logprobs={"token_logprobs": [-1, -2], "tokens": []}),
            ("HH", -3.0, 2, "length"),
        ),
        (
            answer("H", token_ids=[H, END, H], logprobs={"token_logprobs": [-1, -2, -4], "tokens": []}),
            ("H", -3.0, 2, "stop"),
        ),
        (
            answer("H", logprobs={"token_logprobs": [-1, -2, -4], "tokens": ["H", "<|im_end|>", "H"]}),
            ("H", -3.0, 2, "stop"),
        ),
        (answer("H", logprobs={"token_logprobs": [None, -2], "tokens": ["H", "i"]}), ("H", None, 2, "stop")),
    ],
)
async def test_what_is_made_of_an_answer(server, engine, fault, expected):
    await engine.ready()
    server.faults = [fault]
    [one] = await engine.generate(GREEDY)
    assert (one.text, one.logprob, one.tokens, one.finish_reason) == expected


async def test_fewer_candidates_than_asked_for_are_an_error(server, engine):
    await engine.ready()
    server.faults = [answer("Hey!")]
    with pytest.raises(EngineError, match="fewer candidates"):
        await engine.generate(replace(GREEDY, n=2))


async def test_a_reply_read_as_other_tokens_is_not_scored(server, engine):
    await engine.ready()
    server.faults = [answer("Hey!", logprobs={"token_logprobs": [None, -2.0], "tokens": ["H", "i"]})]
    with pytest.raises(EngineError, match="other tokens"):
        await engine.score(SCORE)


async def test_a_long_conversation_is_cut_to_the_servers_context(server, pupil):
    engine = RemoteEngine(Server(server.url), lambda: pupil.screenplay, context=4096)
    scene = Scene(tuple(Turn("Guest", f"what about the soup number {n}?") for n in range(99)))
    await engine.generate(replace(GREEDY, conversation=scene, longest=20))
    assert 60 < len(server.asked[-1]["prompt"]) <= 128 - 32
    await engine.aclose()
