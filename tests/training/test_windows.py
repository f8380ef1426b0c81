"""Windows: batches keep to their budget, and several replies to one message are read behind it."""

import random

from bot.engine.tokenizer import HubTokenizer
from persona.screenplay import EOS_JOINED, Screenplay
from tests.toys import toy_scenes, toy_tokenizer
from training.samples import Sampler
from training.windows import Choice, Reply, batches, together

JOEY = "Joey Tribbiani"


def test_batches_hold_every_window_once_within_the_budget() -> None:
    windows = Sampler(Screenplay(EOS_JOINED, HubTokenizer(toy_tokenizer())), {JOEY}, window=100).windows(toy_scenes(40))
    planned = batches(windows, 300, random.Random(1))
    assert sorted(map(id, windows)) == sorted(id(one) for batch in planned for one in batch)
    assert all(len(batch) * max(map(len, batch)) <= 300 for batch in planned)
    assert any(len(batch) > 1 for batch in planned)
    assert all(len(batch) == 1 for batch in batches(windows, 20, random.Random(1)))


def test_replies_stand_one_behind_the_other_and_only_good_ones_are_learned() -> None:
    good, bad = Reply([7], [1, 2], 9), Reply([8, 8], [3], 5, good=False)
    assert good.tokens == bad.tokens == 3
    window = together([4, 5], [good, bad, good], "e")
    assert window.ids == (4, 5, 7, 1, 2, 8, 8, 3, 7, 1, 2)
    assert [one for one, mark in zip(window.ids, window.learned, strict=True) if mark] == [1, 2, 1, 2]
    assert window.choices == (Choice(2, 3, 5, good=True), Choice(5, 7, 8, good=False), Choice(8, 9, 11, good=True))
    assert (window.replies, window.learned_bytes, window.episode) == (2, 18, "e")
    assert window.repeated == len(window.ids), "what is said before several replies weighs nothing by itself"
