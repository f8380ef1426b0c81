"""What must not be sent is counted where it was sent and where it was only drafted, and fallback lines are."""

from dataclasses import replace

import pytest

from persona.characters import friends
from persona.dialogue import Scene, Turn
from tests.training.evaluation.replies import asks, bland, by_key, fallback, reply, says, shuffled, true_line
from training.evaluation.plan import Ask
from training.evaluation.safety import GOALS, safety

CAST = friends()
ASK = asks(1)[0]
BAD = {
    "empty": "...",
    "exclamations": "Oh no!!!",
    "tag": "Sure.<|im_end|>",
    "loop": "I know, I know, I know.",
    "speaker": "Fine. Chandler: no",
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_found_among_what_was_sent(what):
    figures = by_key(safety([reply(ASK, BAD[what], ["Well."]), reply(ASK, "Well.")], CAST))
    assert {key for key, one in figures.items() if one.value} == {f"sent_{what}", "sent_any"}
    assert figures[f"sent_{what}"].value == figures["sent_any"].value == 0.5


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_found_among_candidates(what):
    figures = by_key(safety([reply(ASK, "Well.", ["Well.", "Yes.", BAD[what], "No."])], CAST))
    assert {key for key, one in figures.items() if one.value} == {f"drafted_{what}", "drafted_any"}
    assert figures[f"drafted_{what}"].value == 0.25


def test_who_says_that_he_is_somebody_else_speaks_as_someone_else():
    pairs = [reply(asks(2)[0], "I'm Joey."), reply(asks(2)[1], "I'm Joey.")]
    assert by_key(safety(pairs, CAST))["sent_speaker"].value == 0.5


def test_all_goals_have_a_bad_line():
    assert set(BAD) == set(GOALS)


def test_bland_and_true_lines_are_safe_and_none_of_many_has_a_bound():
    for pairs in (says(bland), says(true_line), shuffled(says(true_line))):
        figures = safety(pairs, CAST).figures
        assert {one.value for one in figures} == {0}
        assert {one.high for one in figures} == {3 / 200}


def test_fallback_lines_are_counted_apart_and_as_wrong_but_never_as_empty():
    figures = by_key(safety([fallback(ASK, BAD["loop"], BAD["tag"]), reply(ASK, "Well."), reply(ASK, "Oh.")], CAST))
    assert figures["fallback"].value == figures["sent_any"].value == pytest.approx(1 / 3)
    assert figures["sent_empty"].value == figures["sent_loop"].value == 0
    assert figures["drafted_loop"].value == figures["drafted_tag"].value == 0.25


def test_people_are_the_true_lines_of_the_scenes():
    loud = replace(ASK, said="What!!!")
    stranger = Ask("stranger", 0, "prompt 0", Scene((Turn("Guest", "Hi"),)), CAST[0])
    figures = by_key(safety([reply(loud, "Well."), reply(ASK, "Well."), reply(stranger, "Hi.")], CAST))
    assert figures["sent_exclamations"].people == figures["drafted_exclamations"].people == figures["sent_any"].people
    assert figures["sent_exclamations"].people == 0.5
    assert figures["fallback"].people is None
    assert by_key(safety([reply(stranger, "Hi.")], CAST))["sent_any"].people is None


def test_whoever_speaks_in_the_conversation_can_be_spoken_for():
    assert ASK.conversation.turns[-1].name == "Ann"
    figures = by_key(safety([reply(ASK, "Ann: hi"), reply(ASK, "Gunther: hi")], CAST))
    assert figures["sent_speaker"].value == 0.5


def test_of_nothing_nobody_can_say():
    figures = safety([], CAST).figures
    assert {(one.value, one.note) for one in figures} == {(None, "no replies")}
    assert len(figures) == 2 * (len(GOALS) + 1) + 1
