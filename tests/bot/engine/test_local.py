"""The engine in this process, over toys of random or taught weights."""

import asyncio
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bot.engine.checkpoints import CheckpointError, LoadedCheckpoint
from bot.engine.local import LocalEngine, left_behind
from bot.engine.protocol import SCORES_A_REPLY, Busy, EngineError, GenerateRequest, Sampling, ScoreRequest
from persona.dialogue import Scene, Turn
from tests.bot.engine.pupils import JOEY, REPLY, SCENE, taught, untaught

GREEDY = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0))
FREE = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=1.5, top_p=1.0), seed=5)


@pytest.fixture(params=["gpt2", "llama"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedCheckpoint:
    return untaught(request.param, tmp_path)


@pytest.fixture
async def engine(checkpoint: LoadedCheckpoint):
    engine = LocalEngine(lambda: checkpoint)
    yield engine
    await engine.aclose()
    assert not left_behind()


class Steps:
    """Counts a model's steps, and makes each of them last."""

    def __init__(self, checkpoint: LoadedCheckpoint, seconds: float) -> None:
        self.taken = 0
        self._seconds = seconds
        checkpoint.model.register_forward_pre_hook(self._step)

    def _step(self, *_) -> None:
        self.taken += 1
        time.sleep(self._seconds)

    async def reached(self, number: int) -> None:
        async with asyncio.timeout(20):
            while self.taken < number:  # noqa: ASYNC110 - the model's thread has no event to wait for
                await asyncio.sleep(0.002)


def test_importing_the_engine_loads_no_torch():
    check = "import sys, bot.engine.local; sys.exit(any(one in sys.modules for one in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


async def test_greedy_is_token_for_token_what_transformers_generates(engine, checkpoint):
    screenplay = checkpoint.screenplay
    prompt = torch.tensor([screenplay.prompt(SCENE.turns, JOEY.name, 128 - 60)])
    plain = checkpoint.model.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=60,
        eos_token_id=list(screenplay.tokenizer.controls.values()), pad_token_id=screenplay.end_id,
    )[0, prompt.shape[1] :]  # fmt: skip
    [candidate] = await engine.generate(GREEDY)
    assert candidate.tokens == len(plain)
    assert candidate.text == screenplay.tokenizer.decode(plain.tolist()).strip()


async def test_candidates_of_one_request_differ_and_seeds_matter(engine):
    texts = [one.text for one in await engine.generate(replace(FREE, n=4))]
    assert len(set(texts)) == 4
    assert [one.text for one in await engine.generate(replace(FREE, n=4, seed=6))] != texts


async def test_without_a_seed_chance_decides(engine, checkpoint):
    other = LocalEngine(lambda: checkpoint)
    unseeded = replace(FREE, seed=None)
    said = [(await one.generate(unseeded))[0].text for one in (engine, engine, other)]
    await other.aclose()
    assert len(set(said)) == 3


async def test_the_seed_of_everybody_else_is_left_alone(engine):
    before = torch.get_rng_state()
    await engine.generate(FREE)
    assert torch.equal(torch.get_rng_state(), before)


async def test_the_bases_own_generation_settings_change_nothing(engine, checkpoint):
    [plain] = await engine.generate(FREE)
    checkpoint.model.generation_config.update(top_k=1, temperature=0.01, repetition_penalty=9.0, min_p=0.9)
    other = LocalEngine(lambda: checkpoint)
    assert await other.generate(FREE) == [plain]
    await other.aclose()


async def test_log_probabilities_are_the_models_own_whatever_the_sampling(tmp_path):
    pupil = taught("llama", tmp_path)
    engine = LocalEngine(lambda: pupil)
    [plain] = await engine.generate(GREEDY)
    [warm] = await engine.generate(replace(GREEDY, sampling=Sampling(temperature=0.2, top_p=0.1), seed=1))
    await engine.aclose()
    assert warm.text == plain.text == REPLY
    assert warm.logprob == pytest.approx(plain.logprob, abs=1e-4)


async def test_a_score_is_the_sum_over_the_reply_and_its_end(engine, checkpoint):
    screenplay = checkpoint.screenplay
    prompt, said = screenplay.prompt(SCENE.turns, JOEY.name, 96), screenplay.said(REPLY)
    with torch.inference_mode():
        logprobs = checkpoint.model(torch.tensor([prompt + said])).logits[0].log_softmax(-1)
    expected = sum(logprobs[len(prompt) + at - 1, token].item() for at, token in enumerate(said))
    [score] = await engine.score(ScoreRequest(SCENE, JOEY, (REPLY,)))
    assert score == pytest.approx(expected, abs=1e-3)


async def test_more_replies_than_a_batch_takes_are_all_scored(engine):
    replies = tuple(f"spoon {number}" for number in range(19))
    scores = await engine.score(ScoreRequest(SCENE, JOEY, replies))
    assert scores[-1:] == pytest.approx(await engine.score(ScoreRequest(SCENE, JOEY, replies[-1:])), abs=1e-3)
    assert len(scores) == 19


async def test_a_long_conversation_fits_the_models_positions(engine):
    scene = Scene(tuple(Turn("Guest", f"{number} spoons, 3 bowls and soup") for number in range(50)))
    [candidate] = await engine.generate(replace(GREEDY, conversation=scene))
    assert candidate.tokens > 0
    assert len(await engine.score(ScoreRequest(scene, JOEY, (REPLY, "no")))) == 2


async def test_a_reply_too_long_to_score_is_a_sentence(engine):
    with pytest.raises(EngineError, match="leaves no room for a prompt in 128"):
        await engine.score(ScoreRequest(SCENE, JOEY, ("soup " * 200,)))


async def test_any_control_token_ends_the_reply(tmp_path):
    plain = untaught("llama", tmp_path / "ids").screenplay
    said = [*plain.said("how are you")[:-1], plain.tokenizer.controls["<|im_start|>"], *plain.said("junk")]
    pupil = taught("llama", tmp_path, said)
    engine = LocalEngine(lambda: pupil)
    [candidate] = await engine.generate(GREEDY)
    await engine.aclose()
    assert (candidate.text, candidate.finish_reason) == ("how are you", "stop")


async def test_cancelling_frees_the_worker_within_a_step(engine, checkpoint):
    steps = Steps(checkpoint, 0.02)
    task = asyncio.create_task(engine.generate(GREEDY))
    await steps.reached(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    taken = steps.taken
    await engine.generate(replace(GREEDY, longest=1))
    assert steps.taken <= taken + 2  # the step that was under way, and the new reply's


async def test_a_deadline_leaves_the_text_as_far_as_it_came(engine, checkpoint):
    steps = Steps(checkpoint, 0.05)
    [candidate] = await engine.generate(replace(GREEDY, deadline=time.monotonic() + 0.4))
    assert candidate.finish_reason == "deadline"
    assert 0 < candidate.tokens == steps.taken < 60


async def test_closing_stops_a_generation_under_way(engine, checkpoint):
    steps = Steps(checkpoint, 0.02)
    task = asyncio.create_task(engine.generate(GREEDY))
    await steps.reached(3)
    await engine.aclose()
    with pytest.raises(EngineError, match="closed"):
        await task
    assert steps.taken < 20
    assert not left_behind()


async def test_closing_does_not_wait_for_a_model_that_loads(tmp_path):
    loads = threading.Event()

    def load() -> LoadedCheckpoint:
        loads.wait(20)
        return untaught("gpt2", tmp_path)

    engine = LocalEngine(load)
    engine.start()
    ready = asyncio.create_task(engine.ready())
    await asyncio.sleep(0.01)
    await engine.aclose()
    with pytest.raises(EngineError, match="closed"):
        await ready
    assert left_behind()
    loads.set()
    async with asyncio.timeout(20):
        while left_behind():  # noqa: ASYNC110 - a thread has no event to wait for
            await asyncio.sleep(0.01)


async def test_what_cannot_be_loaded_is_a_sentence_for_everybody():
    def load() -> LoadedCheckpoint:
        time.sleep(0.05)
        raise CheckpointError("the adapter in models belongs to another base")

    engine = LocalEngine(load)
    asks = [engine.generate(GREEDY), engine.ready(), engine.score(ScoreRequest(SCENE, JOEY, ("a",)))]
    found = await asyncio.gather(*asks, return_exceptions=True)
    found += await asyncio.gather(engine.generate(GREEDY), engine.ready(), return_exceptions=True)
    await engine.aclose()
    assert [(type(one), str(one)) for one in found] == [
        (EngineError, "the adapter in models belongs to another base")
    ] * 5


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModuleNotFoundError("No module named 'peft'", name="peft"), r"peft cannot be imported: install echochamber"),
        (ValueError("a secret text"), r"^the model cannot be loaded \(ValueError\)$"),
    ],
)
async def test_a_loaders_own_errors_become_sentences(error: Exception, sentence: str):
    def load() -> LoadedCheckpoint:
        raise error

    engine = LocalEngine(load)
    with pytest.raises(EngineError, match=sentence):
        await engine.ready()
    await engine.aclose()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "ran out of memory: set DEVICE=cpu"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "ran out of memory"),
        (RuntimeError("something the user said"), r"^the model failed \(RuntimeError\)$"),
    ],
)
async def test_a_failing_model_fails_one_reply_only(engine, checkpoint, error: Exception, sentence: str):
    def fail(*_) -> None:
        raise error

    hook = checkpoint.model.register_forward_pre_hook(fail)
    with pytest.raises(EngineError, match=sentence):
        await engine.generate(GREEDY)
    hook.remove()
    assert await engine.generate(GREEDY)


class Panic(BaseException):
    """Is no Exception, like those of Rust's libraries."""


async def test_a_thread_that_ends_leaves_nobody_waiting(engine, checkpoint):
    def panic(*_) -> None:
        time.sleep(0.05)
        raise Panic("something the user said")

    checkpoint.model.register_forward_pre_hook(panic)
    asks = [engine.generate(GREEDY), engine.generate(FREE), engine.score(ScoreRequest(SCENE, JOEY, (REPLY,)))]
    async with asyncio.timeout(20):
        found = await asyncio.gather(*asks, return_exceptions=True)
        found += await asyncio.gather(engine.generate(GREEDY), return_exceptions=True)
        found += await asyncio.gather(engine.score(ScoreRequest(SCENE, JOEY, (REPLY,))), return_exceptions=True)
    sentence = "the engine stopped (Panic): restart the bot"
    assert [(type(one), str(one)) for one in found] == [(EngineError, sentence)] * 5
    assert engine.stats() is None
    await engine.aclose()
    assert not left_behind()
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(GREEDY)


async def test_a_load_that_ends_the_thread_is_a_sentence_for_everybody():
    def load() -> LoadedCheckpoint:
        raise Panic("something the user said")

    engine = LocalEngine(load)
    async with asyncio.timeout(20):
        found = await asyncio.gather(engine.ready(), engine.generate(GREEDY), return_exceptions=True)
    await engine.aclose()
    assert [(type(one), str(one)) for one in found] == [
        (EngineError, "the engine stopped (Panic): restart the bot")
    ] * 2
    assert not left_behind()


BROKEN_TORCH = """
import asyncio, sys

class Finder:
    def find_spec(name, path=None, target=None):
        if name == "torch":
            raise OSError("libcudart.so: cannot open shared object file")

sys.meta_path.insert(0, Finder)
from bot.engine.local import LocalEngine

asyncio.run(asyncio.wait_for(LocalEngine(lambda: __import__("torch")).ready(), 20))
"""


def test_a_torch_that_cannot_be_loaded_is_a_sentence():
    done = subprocess.run([sys.executable, "-c", BROKEN_TORCH], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith("EngineError: the model cannot be loaded (OSError)")


async def test_ready_gives_the_checkpoint(engine, checkpoint):
    assert await engine.checkpoint() is checkpoint


async def test_scores_are_bounded_too(tmp_path):
    loads = threading.Event()

    def load() -> LoadedCheckpoint:
        loads.wait(20)
        return untaught("gpt2", tmp_path)

    engine = LocalEngine(load, queue_size=1)
    asks = [asyncio.create_task(engine.score(ScoreRequest(SCENE, JOEY, ("a",)))) for _ in range(SCORES_A_REPLY)]
    await asyncio.sleep(0.01)
    with pytest.raises(Busy):
        await engine.score(ScoreRequest(SCENE, JOEY, ("a",)))
    loads.set()
    assert len({one for [one] in await asyncio.gather(*asks)}) == 1
    await engine.aclose()
