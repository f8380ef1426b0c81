"""The remote engine against servers that other people wrote: each does what it can, and nothing else is claimed."""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.engine.completions import Server
from bot.engine.protocol import Abilities, EngineError, GenerateRequest, Sampling, ScoreRequest
from bot.engine.remote import RemoteEngine
from bot.engine.script import load_screenplay_only
from bot.engine.shipped import shipped_checkpoint
from persona.dialogue import Scene, Turn
from persona.screenplay import Screenplay
from tests.bot.engine.pupils import JOEY, SCENE, taught
from tests.peers.completions.peers import llama_cpp, transformers_serve

GREEDY = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0), longest=24)
FREE = GenerateRequest(SCENE, JOEY, n=8, seed=3, sampling=Sampling(2.0, 1.0, 0.02), longest=16)


@dataclass
class Peer:
    """A running server, what renders its prompts, and what it is known to be able to do."""

    server: Server
    screenplay: Screenplay
    abilities: Abilities


@pytest.fixture(scope="module", params=["llama.cpp", "transformers serve", "vllm"])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with ExitStack() as stack:
        if request.param == "llama.cpp":
            url = stack.enter_context(llama_cpp())
            yield Peer(Server(url), embedded(), Abilities(scores=False))
        elif request.param == "transformers serve":
            pupil, folder = taught("llama", tmp_path_factory.mktemp("pupil")), tmp_path_factory.mktemp("served")
            pupil.model.save_pretrained(folder)
            pupil.tokenizer.wrapped.save_pretrained(folder)
            url = stack.enter_context(transformers_serve(folder))
            yield Peer(Server(url, str(folder)), pupil.screenplay, Abilities(logprobs=False, scores=False))
        else:
            if not (url := os.environ.get("VLLM_URL", "")):
                pytest.skip("VLLM_URL is not set")
            yield Peer(Server(url), embedded(), Abilities())


def embedded() -> Screenplay:
    return load_screenplay_only(shipped_checkpoint(), Path("/nowhere"), print)


@pytest.fixture
async def engine(peer: Peer) -> AsyncIterator[RemoteEngine]:
    engine = RemoteEngine(peer.server, lambda: peer.screenplay, context=128)
    yield engine
    await engine.aclose()


async def test_what_it_can_do(peer, engine):
    assert await engine.ready() == peer.abilities


async def test_the_likeliest_reply_is_always_the_same(peer, engine):
    [first], [second] = await engine.generate(GREEDY), await engine.generate(GREEDY)
    assert first.text == second.text
    assert first.finish_reason in {"stop", "length"}
    assert 1 <= first.tokens <= GREEDY.longest


async def test_eight_candidates_and_a_seed_that_repeats_them(peer, engine):
    first = await engine.generate(FREE)
    assert len(first) == 8
    assert [one.text for one in await engine.generate(FREE)] == [one.text for one in first]
    assert len({one.text for one in [*first, *await engine.generate(replace(FREE, seed=4))]}) > 2
    for one in first:
        assert not any(control in one.text for control in peer.screenplay.tokenizer.controls)
        assert 0 < one.tokens <= FREE.longest
        assert (one.logprob is not None) == peer.abilities.logprobs
        assert one.logprob is None or -math.inf < one.logprob < 0


async def test_scores_agree_with_the_log_probability_of_the_same_words(peer, engine):
    drawn = await engine.generate(replace(FREE, sampling=Sampling(0.8), longest=40))
    texts = ("Purple giraffes negotiate.", *(one.text for one in drawn))
    if not peer.abilities.scores:
        with pytest.raises(EngineError, match="cannot score"):
            await engine.score(ScoreRequest(SCENE, JOEY, texts))
        return
    _, *scores = await engine.score(ScoreRequest(SCENE, JOEY, texts))
    compared = 0
    for one, score in zip(drawn, scores, strict=True):
        if one.finish_reason == "stop" and len(peer.screenplay.said(one.text)) == one.tokens:
            assert score == pytest.approx(one.logprob, abs=0.05 * one.tokens)
            compared += 1
    assert compared


async def test_a_deadline_is_kept_and_the_server_goes_on(peer, engine):
    await engine.ready()
    begun = time.monotonic()
    await engine.generate(replace(FREE, deadline=begun + 0.05))
    assert time.monotonic() - begun < 1
    assert len(await engine.generate(GREEDY)) == 1


async def test_sixteen_conversations_at_once(peer, engine):
    scenes = [Scene((*SCENE.turns, Turn("Guest", f"{number} bowls?"))) for number in range(16)]
    replies = await asyncio.gather(*(engine.generate(replace(GREEDY, conversation=scene)) for scene in scenes))
    assert [len(one) for one in replies] == [1] * 16
