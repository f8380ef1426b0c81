"""The leak check: it finds what the copied recipe leaks, and our split leaks next to nothing."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from persona.characters import friends
from persona.dialogue import Scene, Turn
from training.corpus import Corpus
from training.leaks import Leaks, find_leaks, leaked_replies
from training.split import split_by_episode, split_scenes

JOEY = "Joey Tribbiani"
BEFORE = 7  # turns before the reply: a window has eight


def copied_recipe(transcript: Sequence[Turn], seed: int) -> Leaks:
    """Split as the copied recipe does: a row for each of Joey's lines, a tenth of the rows at random held out."""
    rows = [at for at in range(BEFORE, len(transcript)) if transcript[at].name == JOEY]
    random.Random(seed).shuffle(rows)
    held_out = len(rows) // 10
    windows = ([turn.text for turn in transcript[at - BEFORE : at + 1]] for at in rows[held_out:])
    return leaked_replies((transcript[at].text for at in rows[:held_out]), windows)


def test_word_for_word_means_words_and_nothing_else() -> None:
    trained = [["Well, THE soup isn’t", "cold: it’s “very” cold indeed!"], ["and nobody wants any of it at all"]]
    replies = {
        "the soup isn't cold; it's VERY cold": True,  # over the border of two turns
        "Soup isnt cold - it's very cold!": True,
        "the soup isn't cold, it's very": True,
        "the soup isn't cold, it's very col": False,
        "he soup isn't cold, it's very cold": False,
        "cold indeed and nobody wants any of it": False,  # over the border of two scenes
        "nobody wants any of it, Ann, at all": False,
        "nobody wants any of": False,  # leaked, but too short to be counted
        "": False,
    }
    for reply, leaked in replies.items():
        assert leaked_replies([reply], trained).leaked == leaked, reply
    assert leaked_replies(replies, trained) == Leaks(checked=7, leaked=3)


def test_a_reply_that_opens_as_one_line_and_ends_as_another_is_none() -> None:
    trained = [["the soup is very cold today and so on", "he soup is very cold today, or so he says"]]
    assert leaked_replies(["he soup is very cold today and so on"], trained) == Leaks(1, 0)
    assert leaked_replies(["he soup is very cold today or so he"], trained) == Leaks(1, 1)


def test_a_reply_counts_once_however_often_it_was_trained_on_and_as_often_as_it_is_held_out() -> None:
    line = "one two three four five six"
    assert leaked_replies([line], [[line], [line, line]]) == Leaks(1, 1)
    assert leaked_replies([line, line, f"{line} seven"], [[line], [f"{line} seven"]]) == Leaks(3, 3)


def test_only_the_taught_are_checked_against_whatever_anybody_says() -> None:
    line, other = "the soup is very cold today", "nobody wants any of it now"
    held_out = (Scene((Turn(JOEY, line), Turn("Ann", other))),)
    training = (Scene((Turn("Ben", f"I say {line}."), Turn(JOEY, other))),)
    assert find_leaks(held_out, training, {JOEY}) == Leaks(1, 1)
    assert find_leaks(held_out, training, None) == Leaks(2, 2)
    assert find_leaks(held_out, (), None) == Leaks(2, 0)


def test_the_result_is_said() -> None:
    assert Leaks(400, 6).sentence() == (
        "Leak check: 6 of 400 held-out replies of 6 words and more (1.5%) stand word for word in a training scene."
    )
    assert "nothing could be checked" in Leaks(0, 0).sentence()
    assert Leaks(0, 0).share == 0.0


def made_up_show() -> tuple[Scene, ...]:
    """Return a hundred episodes in which no line of eight words is said twice."""
    draw = random.Random(5)
    words = [f"{first}{second}" for first in ("ka", "lo", "mi", "nu", "pe") for second in ("ra", "so", "ti", "vu")]
    return tuple(
        Scene(
            tuple(Turn(name, " ".join([*draw.choices(words, k=7), f"{episode}x{at}"])) for at, name in enumerate(who)),
            f"e{episode}_c1",
            f"e{episode}",
        )
        for episode in range(100)
        for who in [draw.choices([JOEY, "Ann", "Ben", "Dana"], k=24)]
    )


def test_a_random_split_of_windows_fails_the_check_and_ours_passes() -> None:
    scenes = made_up_show()
    random_split = copied_recipe([turn for scene in scenes for turn in scene.turns], seed=0)
    assert random_split.checked > 50
    assert random_split.share > 0.7
    split = split_by_episode(scenes)
    for held_out in (split.validation, split.test):
        ours = find_leaks(held_out, split.train, {JOEY})
        assert ours.checked > 10
        assert ours.leaked == 0


def transcript_of(folder: Path) -> list[Turn]:
    """Return the show's lines as they stand in the file, scene directions and notes included."""
    rows = map(json.loads, (folder / "utterances.jsonl").read_text(encoding="utf-8").splitlines())
    return [Turn(row["speaker"], row["text"] or "") for row in sorted(rows, key=lambda row: str(row["id"]))]


def test_the_copied_recipe_leaks_three_quarters_of_joeys_replies(friends_corpus: Path) -> None:
    """Its random split leaks 76.5 % of them, give or take two points for the seed."""
    transcript = transcript_of(friends_corpus)
    tries = [copied_recipe(transcript, seed) for seed in range(4)]
    share = sum(one.leaked for one in tries) / sum(one.checked for one in tries)
    assert share == pytest.approx(0.765, abs=0.02)
    assert all(one.share > 0.7 for one in tries)


def test_our_split_of_the_show_leaks_a_few_common_sentences(show: Corpus) -> None:
    split = split_scenes(show)
    for held_out in (split.validation, split.test):
        for taught in ({JOEY}, {one.name for one in friends()}, None):
            leaks = find_leaks(held_out, split.train, taught)
            assert leaks.checked > 150
            assert leaks.share < 0.02
