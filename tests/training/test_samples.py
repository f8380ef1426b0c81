"""Windows and batches: every line once, budgets kept, strangers made."""

import random

import pytest

from bot.engine.tokenizer import HubTokenizer
from persona.dialogue import Scene, Turn
from persona.screenplay import EOS_JOINED, Screenplay
from tests.toys import toy_scenes, toy_tokenizer
from training.corpus import CorpusError
from training.measures import NOT_LEARNED, collate
from training.samples import STRANGERS, Sampler, batches, mask_a_speaker
from training.stream import BatchStream, Diet

JOEY = "Joey Tribbiani"


@pytest.fixture(scope="module")
def screenplay() -> Screenplay:
    return Screenplay(EOS_JOINED, HubTokenizer(toy_tokenizer()))


def learned_ids(windows: list) -> list[int]:
    return [one for window in windows for one, mark in zip(window.ids, window.learned, strict=True) if mark]


@pytest.mark.parametrize("window", [60, 100, 512])
def test_each_taught_line_is_learned_once_however_long_the_scene(screenplay: Screenplay, window: int) -> None:
    scenes = toy_scenes(5)
    windows = Sampler(screenplay, {JOEY}, window=window).windows(scenes)
    lines = [turn.text for scene in scenes for turn in scene.turns if turn.name == JOEY]
    assert learned_ids(windows) == [one for line in lines for one in screenplay.said(line)]
    assert all(len(one) <= window for one in windows)
    assert sum(one.learned_bytes for one in windows) == sum(len(line.encode()) for line in lines)
    assert sum(one.replies for one in windows) == len(lines)


def test_a_continued_scene_keeps_context_that_is_not_learned_again(screenplay: Screenplay) -> None:
    windows = Sampler(screenplay, {JOEY}, window=100).windows(toy_scenes(1))
    assert len(windows) > 1
    assert not windows[1].learned[0]


def test_batches_hold_every_window_once_within_the_budget(screenplay: Screenplay) -> None:
    windows = Sampler(screenplay, {JOEY}, window=100).windows(toy_scenes(40))
    planned = batches(windows, 300, random.Random(1))
    assert sorted(map(id, windows)) == sorted(id(one) for batch in planned for one in batch)
    assert all(len(batch) * max(map(len, batch)) <= 300 for batch in planned)
    assert any(len(batch) > 1 for batch in planned)
    assert all(len(batch) == 1 for batch in batches(windows, 20, random.Random(1)))


def test_a_stream_with_nothing_to_learn_ends_in_a_sentence(screenplay: Screenplay) -> None:
    stream = BatchStream(Diet(toy_scenes(3), Sampler(screenplay, {"Nobody"}), 300, 0), 0, lambda epoch, batch: None)
    with pytest.raises(CorpusError, match="say nothing in the training episodes"):
        next(iter(stream))


def test_padding_is_neither_read_nor_learned(screenplay: Screenplay) -> None:
    sampler = Sampler(screenplay, {JOEY}, window=512)
    short = sampler.windows((Scene((Turn(JOEY, "Hello."), Turn("Ann", "Hi.")), "a", "a"),))
    long = sampler.windows(toy_scenes(1))
    tensors = collate([short[0], long[0]], pad=screenplay.end_id)
    length = len(short[0])
    assert tensors["attention_mask"][0].tolist() == [1] * length + [0] * (len(long[0]) - length)
    assert set(tensors["labels"][0, length:].tolist()) == {NOT_LEARNED}
    kept = [one for one in tensors["labels"][0].tolist() if one != NOT_LEARNED]
    assert kept == screenplay.said("Hello.")
    assert kept[-1] == screenplay.end_id


def test_a_masked_speaker_becomes_a_stranger_and_teaches_nothing() -> None:
    scene = Scene((Turn(JOEY, "a"), Turn("Ross Geller", "b"), Turn("Ann Bee", "c"), Turn(JOEY, "d")), "x", "e")
    taught = {JOEY, "Ross Geller"}
    seen = set()
    for number in range(200):
        masked, still = mask_a_speaker(scene, taught, random.Random(number))
        assert [turn.text for turn in masked.turns] == ["a", "b", "c", "d"]
        names = {turn.name for turn in masked.turns}
        assert still & names
        gone = {turn.name for turn in scene.turns} - names
        assert not gone & still
        assert names - {turn.name for turn in scene.turns} <= set(STRANGERS)
        seen |= gone
    assert seen == {JOEY, "Ross Geller", "Ann Bee"}


def test_the_order_of_batches_is_a_function_of_seed_and_place(screenplay: Screenplay) -> None:
    diet = Diet(toy_scenes(20), Sampler(screenplay, {JOEY}, window=100), 300, seed=3)

    def first(count: int, start: int = 0, seed: int = 3) -> list[list[list[int]]]:
        told: list[int] = []
        stream = BatchStream(Diet(diet.scenes, diet.sampler, 300, seed), start, lambda epoch, _: told.append(epoch))
        return [batch["input_ids"].tolist() for batch, _ in zip(stream, range(count), strict=False)]

    whole = first(60)
    for start in (1, 17, 40):
        assert first(60 - start, start) == whole[start:]
    assert first(60, seed=4) != whole
