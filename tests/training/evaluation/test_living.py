"""Variety, length, repeats and copies: a bot that is bad in one way moves the figure for it."""

import pytest

from persona.dialogue import Scene, Turn
from tests.training.evaluation.replies import (
    SYLLABLES,
    asks,
    bland,
    by_key,
    fallback,
    parrot,
    reply,
    says,
    shuffled,
    true_line,
)
from training.evaluation.living import distinct_2, living, own

EIGHT = "one two three four five six seven eight"
TRAINING = (Scene((Turn("Ann", "Hello."), Turn("Gunther", f"Well: {EIGHT} nine."))),)


def test_true_lines_are_as_people_are():
    figures = living(says(true_line)).figures
    assert [one.value for one in figures] == [one.people for one in figures]
    assert [one.key for one in figures] == ["distinct_2", "short", "most_frequent", "repeats"]
    assert all(one.low <= one.value <= one.high for one in figures)


def test_who_says_the_same_to_everybody_is_not_alive():
    figures = by_key(living(says(bland)))
    assert figures["distinct_2"].value == pytest.approx(2 / 600)
    assert figures["distinct_2"].people > 0.8
    assert figures["short"].value == figures["most_frequent"].value == 1
    assert figures["most_frequent"].note == '"i don\'t know"'
    assert (figures["short"].people, figures["most_frequent"].people) == (0, 1 / 200)


def test_a_parrot_repeats():
    figures = by_key(living(says(parrot)))
    assert (figures["repeats"].value, figures["repeats"].people) == (1, 0)
    assert figures["distinct_2"].value == pytest.approx(figures["distinct_2"].people, rel=0.02)


def test_a_whole_earlier_turn_said_again_in_other_marks_is_a_repeat():
    [ask] = asks(1)
    first, last = (turn.text for turn in ask.conversation.turns)
    again = [reply(ask, first.upper() + "!"), reply(ask, f"{first} {last}"), reply(ask, first.split()[0])]
    assert by_key(living(again))["repeats"].value == pytest.approx(1 / 3)


def test_it_is_of_no_matter_to_whom_something_is_said():
    (varied, short, often, _), (same, *_) = (
        living(one).figures for one in (says(true_line), shuffled(says(true_line)))
    )
    assert varied.value == same.value
    assert (short.value, often.value) == (0, 1 / 200)


def test_fallback_lines_are_one_short_text_and_repeats():
    pairs = says(true_line)
    figures = by_key(living([*pairs[:150], *(fallback(ask) for ask, _ in pairs[150:])]))
    assert {figures[key].value for key in ("short", "most_frequent", "repeats")} == {0.25}
    assert figures["distinct_2"].value < 0.9 * figures["distinct_2"].people
    assert by_key(own([fallback(pairs[0][0])], TRAINING))["sent_copies"].value == 1


def test_three_words_are_short_and_four_are_not():
    [ask] = asks(1)
    assert by_key(living([reply(ask, "No, no, Joey."), reply(ask, "No, I don't know.")]))["short"].value == 0.5


def test_distinct_2_counts_different_pairs_to_a_word():
    assert distinct_2(["a b a", "A, b!"]) == 2 / 5
    assert distinct_2(["a", "b"]) == 0
    assert distinct_2(["...", ""]) is None


def test_variety_is_that_of_a_thousand_lines_or_of_all():
    pairs = says(true_line, 1050)
    many, few = (by_key(living(one))["distinct_2"] for one in (pairs, pairs[:200]))
    assert (many.note, few.note) == ("over 1,000 lines", "over 200 lines")
    assert many.value == many.people < few.value
    assert by_key(living(pairs, seed=1))["distinct_2"] != many


def test_the_interval_of_variety_knows_how_episodes_differ():
    alike = [reply(ask, " ".join(sorted(SYLLABLES, key=ask.said.find))) for ask in asks()]
    differ = [reply(ask, "a b c d e" if ask.episode.endswith(("0", "1")) else one.text) for ask, one in alike]
    (first, *_), (second, *_) = living(alike).figures, living(differ).figures
    assert second.high - second.low > 2 * (first.high - first.low)
    [alone, *_] = living([one for one in alike if one[0].episode.endswith("0")]).figures
    assert (alone.low, alone.high) == (None, None)


def test_eight_words_of_a_training_line_are_a_copy_and_seven_are_not():
    [ask] = asks(1)
    said = [f"So, {EIGHT.upper()}!", f"{EIGHT[4:]} ten", "one two three four, no: five six seven eight"]
    figures = by_key(own([reply(ask, text) for text in said], TRAINING))
    assert figures["sent_copies"].value == figures["drafted_copies"].value == pytest.approx(1 / 3)
    assert figures["sent_copies"].people == 0


def test_copies_are_counted_among_candidates_and_true_lines_too():
    pairs = [reply(ask, "Well.", ["Well.", EIGHT, "No.", "Oh."]) for ask in asks()]
    figures = by_key(own(pairs, TRAINING))
    assert (figures["sent_copies"].value, figures["drafted_copies"].value) == (0, 0.25)
    learned = Scene(tuple(Turn("Ann", f"{ask.said} {ask.said}") for ask in asks()[:50]))
    figures = by_key(own([reply(ask, f"{ask.said} {ask.said}") for ask in asks()], (learned,)))
    assert (figures["sent_copies"].value, figures["sent_copies"].people) == (0.25, 0)


def test_a_line_that_was_learned_and_is_truly_said_is_peoples_share():
    first, second = asks(2)
    said = Turn("Ann", f"{first.said} and so on")
    pairs = [reply(first, "Well."), reply(second, "Well.")]
    figures = by_key(own([(_long(ask), one) for ask, one in pairs], (Scene((said,)),)))
    assert figures["sent_copies"].people == figures["drafted_copies"].people == 0.5


def _long(ask):
    return type(ask)(ask.kind, ask.number, ask.episode, ask.conversation, ask.persona, f"{ask.said} and so on")


def test_of_nothing_nobody_can_say():
    assert {one.value for one in (*living([]).figures, *own([], TRAINING).figures)} == {None}
    assert {(one.value, one.note) for one in own(says(bland), ()).figures} == {(None, "no training lines")}
