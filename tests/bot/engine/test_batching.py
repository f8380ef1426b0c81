"""Many requests at once, over toys: the words are those of transformers' own `generate`, cached or not."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bot.engine.batching import Batch
from bot.engine.checkpoints import LoadedCheckpoint
from bot.engine.decoding import Decoder, candidates
from bot.engine.local import LocalEngine
from bot.engine.prefixes import PrefixCache
from bot.engine.protocol import EngineError, GenerateRequest, Sampling, ScoreRequest
from bot.engine.slots import Slots
from persona.characters import friends
from persona.dialogue import Scene, Turn
from persona.guard import loops
from tests.bot.engine.pupils import JOEY, REPLY, SCENE, untaught

WORDS = ("soup", "spoons", "I am fine", "how are you?", "thank you", "the bowl is cold", "Hello!", "12 or 3")
GREEDY = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0), longest=24)


@pytest.fixture(params=["gpt2", "llama"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedCheckpoint:
    """Load a toy whose words depend on all that it reads: random weights of ordinary size say one token for ever."""
    loaded = untaught(request.param, tmp_path)
    with torch.no_grad():
        for weights in loaded.model.parameters():
            if weights.dim() > 1:
                weights.mul_(8)
    return loaded


class FailingSlots(Slots):
    """Slots whose method `fails` raises `error`, once it is there."""

    fails, error = "", None

    def fill(self, *args):
        return self._unless_it_fails("fill", *args)

    def copy(self, *args):
        return self._unless_it_fails("copy", *args)

    def _unless_it_fails(self, name: str, *args):
        if self.error and self.fails == name:
            raise self.error
        return getattr(super(), name)(*args)


class FailingCache(PrefixCache):
    """A cache that raises `error` where it should keep something: half-way, its place already taken."""

    error = None

    def keep(self, ids, kept, *args, **settings):
        super().keep(ids, torch.full_like(kept, 99) if self.error else kept, *args, **settings)
        self.fail()

    def fail(self, *_) -> None:
        if self.error:
            raise self.error


def failing(checkpoint: LoadedCheckpoint) -> Decoder:
    """Make a decoder whose slots and cache fail once they are told to."""
    decoder = Decoder(checkpoint, 128, 2**20)
    decoder._slots = FailingSlots(checkpoint.model.config, 128, next(checkpoint.model.parameters()), 2**20)
    decoder._prefixes = FailingCache(2**20, decoder._slots.view(0))
    decoder._batch = Batch(checkpoint.model, decoder._slots, decoder._prefixes, lambda name: None)
    return decoder


def decoded(decoder: Decoder, request: GenerateRequest) -> list[str]:
    """Return what a decoder says; whatever becomes of the tasks, they are dropped."""
    tasks = decoder.generation(request)
    try:
        for _ in range(100):
            if all(task.done for task in tasks):
                return [one.text for one in candidates(tasks)]
            decoder.step()
        pytest.fail("the tasks are stuck")
    finally:
        decoder.drop(tasks)


@pytest.fixture
async def engine(checkpoint: LoadedCheckpoint):
    engine = LocalEngine(lambda: checkpoint, queue_size=100)
    yield engine
    await engine.aclose()


def scenes(count: int) -> list[Scene]:
    """Make conversations of different lengths."""
    return [
        Scene(tuple(Turn("Guest", f"{WORDS[(at + k) % 8]} {WORDS[k % 8]} {at}") for k in range(1 + at % 5)))
        for at in range(count)
    ]


def plain(checkpoint: LoadedCheckpoint, request: GenerateRequest) -> tuple[str, int]:
    """Return what transformers generates greedily, and its length in tokens."""
    screenplay = checkpoint.screenplay
    prompt = torch.tensor([screenplay.prompt(request.conversation.turns, request.persona.name, 96)])
    said = checkpoint.model.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=request.longest,
        eos_token_id=list(screenplay.tokenizer.controls.values()), pad_token_id=screenplay.end_id,
    )[0, prompt.shape[1] :]  # fmt: skip
    return screenplay.tokenizer.decode(said.tolist()).strip(), len(said)


async def test_one_at_a_time_together_and_cached_are_what_transformers_says(engine, checkpoint):
    requests = [replace(GREEDY, conversation=scene, persona=friends()[at % 6]) for at, scene in enumerate(scenes(20))]
    expected = [plain(checkpoint, request) for request in requests]
    assert len(set(expected)) > 5
    for _ in range(2):  # the second time the prompts are known
        found = await asyncio.gather(*(engine.generate(request) for request in requests))
        assert [(one.text, one.tokens) for [one] in found] == expected
    alone = [await engine.generate(request) for request in requests]
    assert [(one.text, one.tokens) for [one] in alone] == expected
    assert engine.stats().found > 0


async def test_a_request_joins_at_the_next_step_and_leaves_first(engine, checkpoint):
    steps = []
    checkpoint.model.register_forward_pre_hook(lambda *_: steps.append(1))
    long = asyncio.create_task(engine.generate(replace(GREEDY, longest=60)))
    while len(steps) < 3:  # noqa: ASYNC110 - the model's thread has no event to wait for
        await asyncio.sleep(0.001)
    short = await engine.generate(replace(GREEDY, longest=2))
    assert short[0].tokens == 2
    assert not long.done()
    [candidate] = await long
    assert len(steps) <= candidate.tokens + 2  # both were computed in the same steps


async def test_the_next_message_finds_the_conversation_and_the_reply(engine):
    conversation = Scene(tuple(Turn("Guest", f"{word} and {word}") for word in WORDS[:3]))
    [reply] = await engine.generate(replace(GREEDY, conversation=conversation, longest=3))
    before = engine.stats()
    turns = (*conversation.turns, Turn(JOEY.name, reply.text), Turn("Guest", "soup?"))
    await engine.generate(replace(GREEDY, conversation=Scene(turns)))
    after = engine.stats()
    known = after.found - before.found
    assert known >= (before.asked // 16) * 16  # every whole block of the first prompt at least


async def test_a_prompt_is_computed_once_for_all_candidates(engine, checkpoint):
    sizes = []
    checkpoint.model.register_forward_pre_hook(
        lambda _, args, given: sizes.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    await engine.generate(replace(GREEDY, n=8, longest=2))
    prompt = len(checkpoint.screenplay.prompt(SCENE.turns, JOEY.name, 96))
    assert sizes == [prompt, 8]


async def test_scores_after_many_conversations_at_once_are_those_alone(engine):
    asks = [ScoreRequest(scene, friends()[at % 6], (REPLY, "soup", "")) for at, scene in enumerate(scenes(12))]
    alone = [await engine.score(one) for one in asks]
    together = await asyncio.gather(*(engine.score(one) for one in asks))
    assert together == [pytest.approx(one, abs=1e-3) for one in alone]


async def test_a_seed_repeats_whatever_was_asked_before(checkpoint):
    request = replace(GREEDY, sampling=Sampling(temperature=1.5, top_p=1.0), seed=3, n=3)
    first, second = (LocalEngine(lambda: checkpoint) for _ in range(2))
    fresh = await first.generate(request)
    await second.generate(replace(request, seed=None))
    assert await second.generate(request) == fresh
    await asyncio.gather(first.aclose(), second.aclose())


async def test_a_candidate_does_not_depend_on_how_many_others_are_drawn(engine):
    request = replace(GREEDY, sampling=Sampling(temperature=1.5, top_p=1.0), seed=3)
    many = await engine.generate(replace(request, n=5))
    few = await engine.generate(replace(request, n=2))
    assert [one.text for one in few] == [one.text for one in many[:2]]


def test_more_candidates_than_slots_come_in_turns(checkpoint):
    decoder = Decoder(checkpoint, 128, 2**20)
    request = replace(GREEDY, sampling=Sampling(temperature=1.5), n=decoder._slots.count * 2 + 1, seed=1, longest=3)
    tasks = decoder.generation(request)
    assert len(tasks) == 3
    while not all(task.done for task in tasks):
        decoder.step()
        decoder.drop([task for task in tasks if task.done])
    assert len(candidates(tasks)) == request.n


async def test_memory_stays_within_the_bound_and_old_conversations_are_computed_again(checkpoint):
    engine = LocalEngine(lambda: checkpoint, cache_mb=1)
    first = replace(GREEDY, conversation=scenes(5)[4], longest=2)
    await engine.generate(first)
    for at in range(150):
        await engine.generate(replace(first, conversation=Scene((Turn("Guest", f"{at} spoons " * 20),))))
    stats = engine.stats()
    assert stats.size <= 2**20
    assert stats.dropped > 0
    await engine.generate(first)
    assert engine.stats().found == stats.found
    await engine.aclose()


async def test_nobody_who_draws_goes_in_circles(engine):
    drawn = replace(GREEDY, sampling=Sampling(temperature=0.05, top_p=1.0), longest=60, n=16, seed=1)
    likeliest = await engine.generate(replace(GREEDY, longest=60))
    assert any(loops(one.text) for one in likeliest), "this toy does, where it may"
    assert not any(loops(one.text) for one in await engine.generate(drawn))


def test_a_cache_that_fails_costs_no_reply_and_is_never_read(checkpoint, caplog):
    decoder = failing(checkpoint)
    expected = decoded(decoder, GREEDY)
    decoder._prefixes.clear()
    decoder._prefixes.error = torch.AcceleratorError("something the user said")
    assert decoded(decoder, GREEDY) == expected
    assert decoder._slots.free == decoder._slots.count
    assert decoder.stats.size == 0
    assert "AcceleratorError" in caplog.text
    assert "the user said" not in caplog.text
    decoder._prefixes.error = None
    for _ in range(2):
        assert decoded(decoder, GREEDY) == expected
    assert decoder.stats.found > 0


def test_a_model_and_a_cache_that_fail_together_lose_no_slot_and_are_told_once(checkpoint, caplog):
    decoder = failing(checkpoint)
    tasks = decoder.generation(replace(GREEDY, n=5))
    for _ in range(2):
        decoder.step()
    decoder._prefixes.error = torch.AcceleratorError("something the user said")
    hook = checkpoint.model.register_forward_pre_hook(decoder._prefixes.fail)
    with pytest.raises(torch.AcceleratorError):
        decoder.step()
    decoder.drop(tasks)
    hook.remove()
    assert decoder._slots.free == decoder._slots.count
    assert not decoder._batch._rows
    assert len(caplog.records) == 1
    assert decoded(decoder, GREEDY)


FOUR = replace(GREEDY, n=4)


@pytest.mark.parametrize("fails", ["fill", "copy"])
def test_slots_that_fail_are_all_given_back(checkpoint, fails):
    decoder, expected, slots = failing_slots(checkpoint, fails, torch.AcceleratorError("unspecified launch failure"))
    for _ in range(slots.count):
        with pytest.raises(torch.AcceleratorError):
            decoded(decoder, FOUR)
        assert slots.free == slots.count
    slots.error = None
    assert decoded(decoder, FOUR) == expected


@pytest.mark.parametrize("fails", ["fill", "copy"])
def test_memory_that_runs_out_beside_the_model_leaves_nobody_stuck(checkpoint, fails):
    decoder, expected, slots = failing_slots(checkpoint, fails, torch.OutOfMemoryError("CUDA out of memory"))
    if fails == "fill":  # the cache is emptied, and then there is nothing to fill a slot with
        assert decoded(decoder, FOUR) == expected
    else:  # rows that are half-way cannot be computed again
        with pytest.raises(EngineError, match="ran out of memory"):
            decoded(decoder, FOUR)
    slots.error = None
    assert decoded(decoder, FOUR) == expected
    assert slots.free == slots.count


def failing_slots(checkpoint, fails, error):
    """A decoder that has answered once, what it said, and its slots, which raise `error` in `fails` from now on."""
    decoder = failing(checkpoint)
    expected, slots = decoded(decoder, FOUR), decoder._slots
    slots.fails, slots.error = fails, error
    return decoder, expected, slots
