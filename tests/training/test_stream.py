"""The order of steps: a function of seed and cursor; weights by position; processes share a step."""

from dataclasses import replace
from typing import Any

import pytest

from bot.engine.tokenizer import HubTokenizer
from persona.dialogue import Scene, Turn
from persona.screenplay import EOS_JOINED, Screenplay
from tests.toys import toy_scenes, toy_tokenizer
from training.corpus import Corpus, CorpusError
from training.microbatches import micro_batches
from training.mixture import Part
from training.samples import Sampler
from training.split import Split
from training.stream import Cursor, Diet, Portion, Stream, collate, weights_of
from training.team import Team

JOEY = "Joey Tribbiani"


@pytest.fixture(scope="module")
def screenplay() -> Screenplay:
    return Screenplay(EOS_JOINED, HubTokenizer(toy_tokenizer()))


def part(screenplay: Screenplay, name: str, count: int, share: float = 1.0, taught: Any = (JOEY,)) -> Part:
    scenes = toy_scenes(count)
    corpus = Corpus(name, name, scenes, "episode", {})
    split = Split(train=scenes, validation=(), test=())
    return Part(corpus, split, Sampler(screenplay, taught, window=100), share)


class Member(Team):
    """One process of several, without a network."""

    def __init__(self, rank: int, size: int) -> None:
        self._place = rank, size

    @property
    def size(self) -> int:
        return self._place[1]

    @property
    def rank(self) -> int:
        return self._place[0]


def taken(
    diet: Diet, count: int, cursor: Cursor | None = None, cooling: int = 10**9, team: Team | None = None
) -> list[Portion]:
    stream = Stream(diet, cursor or Cursor(), lambda step: step >= cooling, team)
    return [portion for portion, _ in zip(stream, range(count), strict=False)]


def test_a_cursor_finds_its_place_again_over_several_corpora(screenplay: Screenplay) -> None:
    diet = Diet([part(screenplay, "show", 20, 0.6), part(screenplay, "chat", 10, 0.4, None)], 300, seed=3)
    whole = taken(diet, 80)
    for start in (1, 17, 60):
        cursor = Cursor()
        taken(diet, start, cursor)
        cursor = Cursor(**cursor.to_mapping())
        cursor_at = cursor.step
        assert taken(diet, 80 - cursor_at, cursor) == whole[cursor_at:]
    assert taken(replace(diet, seed=4), 80) != whole


def test_corpora_are_drawn_by_their_shares_until_the_cool_down(screenplay: Screenplay) -> None:
    diet = Diet([part(screenplay, "show", 20, 0.6), part(screenplay, "chat", 10, 0.4, None)], 300, seed=3)
    drawn = [portion.corpus for portion in taken(diet, 400, cooling=300)]
    assert 0.5 < drawn[:300].count("show") / 300 < 0.7
    assert set(drawn[300:]) == {"show"}


def test_every_window_of_a_pass_comes_once(screenplay: Screenplay) -> None:
    diet = Diet([part(screenplay, "show", 20)], 300, seed=1)
    first = [portion for portion in taken(diet, 100) if portion.epoch == 0]
    windows = [window for portion in first for window in portion.windows]
    planned = diet.parts[0].sampler.epoch(diet.parts[0].split.train, 1, 0)
    assert sorted(window.ids for window in windows) == sorted(window.ids for window in planned)


def test_processes_part_a_step_and_agree_on_its_sums(screenplay: Screenplay) -> None:
    diet = Diet([part(screenplay, "show", 20)], 300, seed=1, prompt_weight=0.3)
    alone = taken(diet, 30)
    two = [taken(diet, 30, team=Member(rank, 2)) for rank in (0, 1)]
    for whole, first, second in zip(alone, *two, strict=True):
        assert sorted(map(id, [*first.windows, *second.windows])) != []
        assert sorted(one.ids for one in [*first.windows, *second.windows]) == sorted(one.ids for one in whole.windows)
        assert whole.weight == first.weight == second.weight
        assert whole.learned == first.learned == second.learned


def test_nothing_to_learn_ends_in_a_sentence(screenplay: Screenplay) -> None:
    diet = Diet([part(screenplay, "show", 3, taught=("Nobody",))], 300, 0)
    with pytest.raises(CorpusError, match="say nothing in the training episodes of show"):
        taken(diet, 1)


def test_weights_are_by_position(screenplay: Screenplay) -> None:
    scene = Scene((Turn("Ann", "Hi."), Turn(JOEY, "Hello.")), "a", "a")
    window = Sampler(screenplay, {JOEY}).windows((scene,))[0]
    hard, soft = weights_of(window, 0.0), weights_of(window, 0.3)
    assert hard == [1.0 if learned else 0.0 for learned in window.learned]
    assert sum(hard) == len(screenplay.said("Hello."))
    assert soft == [0.0, *(1.0 if learned else 0.3 for learned in window.learned[1:])]
    again = weights_of(replace(window, repeated=4), 0.3)
    assert again[:4] == [0.0] * 4
    assert again[4:] == soft[4:]


def test_padding_is_neither_read_nor_learned(screenplay: Screenplay) -> None:
    sampler = Sampler(screenplay, {JOEY}, window=512)
    short = sampler.windows((Scene((Turn(JOEY, "Hello."), Turn("Ann", "Hi.")), "a", "a"),))
    long = sampler.windows(toy_scenes(1))
    tensors = collate([short[0], long[0]], prompt_weight=0.5, pad=screenplay.end_id)
    length = len(short[0])
    assert tensors["attention_mask"][0].tolist() == [1] * length + [0] * (len(long[0]) - length)
    assert set(tensors["weights"][0, length:].tolist()) == {0.0}
    taught = tensors["input_ids"][0][tensors["weights"][0] == 1.0].tolist()
    assert taught == screenplay.said("Hello.")
    assert taught[-1] == screenplay.end_id


def test_micro_batches_hold_every_window_once_within_their_tokens(screenplay: Screenplay) -> None:
    windows = Sampler(screenplay, {JOEY}, window=100).windows(toy_scenes(9))
    parts = micro_batches(windows, 250)
    assert sorted(map(id, windows)) == sorted(id(one) for one_part in parts for one in one_part)
    assert all(len(one) * max(map(len, one)) <= 250 for one in parts)
    assert all(len(one) == 1 for one in micro_batches(windows, 64))
    assert micro_batches([], 64) == []
