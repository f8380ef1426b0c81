"""Samples: every line once, budgets kept, strangers made."""

import random
from itertools import pairwise

import pytest

from bot.engine.tokenizer import HubTokenizer
from persona.dialogue import Scene, Turn
from persona.screenplay import EOS_JOINED, Screenplay
from tests.toys import toy_scenes, toy_tokenizer
from training.samples import STRANGERS, Sampler, mask_a_speaker

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


@pytest.mark.parametrize("window", [40, 70, 130, 300])
def test_what_an_earlier_window_held_is_counted_as_repeated(screenplay: Screenplay, window: int) -> None:
    draw = random.Random(window)
    continued = 0
    for number in range(20):
        who = draw.choices([JOEY, "Ann", "Ben"], weights=[1, number % 5, 1], k=40)
        turns = tuple(Turn(name, f"{number} {at} soup" + " soup" * draw.randrange(9)) for at, name in enumerate(who))
        windows = Sampler(screenplay, {JOEY}, window=window).windows([Scene(turns, "c", "e")])
        continued += sum(one.repeated > 0 for one in windows)
        seen: set[tuple[int, ...]] = set()
        for one in windows:
            repeated = turns_of(one.ids[: one.repeated], screenplay.end_id)
            fresh = turns_of(one.ids[one.repeated :], screenplay.end_id)
            assert repeated <= seen
            assert fresh
            assert not fresh & seen
            assert not any(one.learned[: one.repeated])
            seen |= fresh
    assert continued > 10


def turns_of(ids: tuple[int, ...], end: int) -> set[tuple[int, ...]]:
    """Cut ids behind each end of turn; nothing may be left over."""
    ends = [0, *(at + 1 for at, one in enumerate(ids) if one == end)]
    assert ends[-1] == len(ids)
    return {ids[start:stop] for start, stop in pairwise(ends)}


TABLE = Scene((Turn(JOEY, "a"), Turn("Ross Geller", "b"), Turn("Ann Bee", "c"), Turn(JOEY, "d")), "x", "e")


def test_a_masked_speaker_becomes_a_stranger_and_teaches_nothing() -> None:
    seen = set()
    for number in range(200):
        masked, still = mask_a_speaker(TABLE, {JOEY, "Ross Geller"}, random.Random(number))
        assert still is not None
        assert [turn.text for turn in masked.turns] == ["a", "b", "c", "d"]
        names = {turn.name for turn in masked.turns}
        assert still & names
        (gone,) = {turn.name for turn in TABLE.turns} - names
        assert gone not in still
        assert names - {turn.name for turn in TABLE.turns} <= set(STRANGERS)
        seen.add(gone)
    assert seen == {JOEY, "Ross Geller", "Ann Bee"}


def test_the_only_one_who_is_taught_keeps_the_name() -> None:
    for number in range(50):
        masked, still = mask_a_speaker(TABLE, {JOEY}, random.Random(number))
        assert JOEY in {turn.name for turn in masked.turns}
        assert still == {JOEY}
    assert mask_a_speaker(TABLE, {"Nobody"}, random.Random(0)) == (TABLE, {"Nobody"})


def test_where_everybody_is_taught_a_stranger_is_too(screenplay: Screenplay) -> None:
    talk = Scene((Turn("Ann", "Soup?"), Turn("speaker_0", "Cold soup."), Turn("Ann", "...")), "c", "c")
    for number in range(100):
        masked, still = mask_a_speaker(talk, None, random.Random(number))
        assert still is None
        assert len({turn.name for turn in masked.turns}) == 2
        assert masked.turns != talk.turns
    for sampler in (Sampler(screenplay, None), Sampler(screenplay, None, masked_share=1.0)):
        (window,) = sampler.epoch([talk], 0, 0)
        assert learned_ids([window]) == screenplay.said("Soup?") + screenplay.said("Cold soup.")
        assert window.learned_bytes == len("Soup?Cold soup.")


def test_the_share_of_masked_scenes_is_as_asked(screenplay: Screenplay) -> None:
    scenes = tuple(Scene(TABLE.turns, str(number), "e") for number in range(400))

    def masked(share: float) -> int:
        sampler = Sampler(screenplay, {JOEY, "Ross Geller"}, masked_share=share)
        plain = sampler.windows(scenes)
        return sum(one != other for one, other in zip(plain, sampler.epoch(scenes, 1, 0), strict=True))

    assert masked(0.0) == 0
    assert 60 < masked(0.25) < 140
    assert masked(1.0) == 400


def test_an_epoch_masks_others_and_the_same_epoch_the_same(screenplay: Screenplay) -> None:
    sampler, scenes = Sampler(screenplay, {JOEY}), toy_scenes(40)
    assert sampler.epoch(scenes, 1, 0) == sampler.epoch(scenes, 1, 0)
    assert sampler.epoch(scenes, 1, 0) != sampler.epoch(scenes, 1, 1)
    assert sampler.epoch(scenes, 1, 0) != sampler.epoch(scenes, 2, 0)
