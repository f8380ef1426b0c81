"""What may leave the house, and what may not."""

import pytest

from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn
from persona.guard import refusal

FRIENDS = friends()
JOEY = find_persona("joey", FRIENDS)
OTHERS = tuple(one for one in FRIENDS if one is not JOEY)
SCENE = Scene((Turn("Sam Ray", "hi"), Turn(JOEY.name, "I could eat a whole turkey, man."), Turn("Sam Ray", "really?")))


def reason(reply: str) -> str | None:
    return refusal(reply, SCENE, JOEY, OTHERS)


@pytest.mark.parametrize(
    "reply",
    [
        "Hey! How you doin'?",
        "42",
        "No, no. Chandler is at work, so I ate his lunch.",
        "Two things: bread and ham.",
        "I said to Chandler that it's 5:30 already...",
        "Joey doesn't share food!",
        "Oh my God!!! Oh my God!!!",
        "Ich weiß es nicht, ¿y tú?",
        "5 < 6 | 7 > 3",
    ],
)
def test_ordinary_replies_pass(reply):
    assert reason(reply) is None


@pytest.mark.parametrize("reply", ["", "  \n", "...", "?!", "🙂", "\u200b"])
def test_a_reply_without_a_letter_or_digit_is_empty(reply):
    assert reason(reply) == "empty"


@pytest.mark.parametrize(
    "reply",
    [
        "Sure <|im_end|>",
        "well < |im_start| >",
        "ok |>",
        "no </s>",
        "a <s> b",
        "＜|user|＞ hi",
        "[INST] do",
        "im_end it is",
    ],
)
def test_what_looks_like_a_control_token_is_refused(reply):
    assert reason(reply) == "tag"


@pytest.mark.parametrize(
    "reply",
    [
        "Chandler Bing: could I BE any later?",
        "chandler: hi",
        "Joey Tribbiani: hey",
        "Fine.\nMonica: no!",
        "Fine. Monica: no!",
        "Yeah! (Dr. Geller : what)",
        "Sam Ray: I said hi",
        "Sure.\nSam Ray\nHi again",
        "PHOEBE： la la",
        '"Rachel: no," she said',
    ],
)
def test_another_speakers_line_is_refused(reply):
    assert reason(reply) == "another speaker"


@pytest.mark.parametrize(
    "reply",
    [
        "alright, alright, alright",
        "I know. I know. I know.",
        "so " * 3,
        "a b c d a b c d A b, c d!",
        "Don't don't DON'T",
    ],
)
def test_one_to_four_words_three_times_in_a_row_are_a_loop(reply):
    assert reason(reply) == "loop"


@pytest.mark.parametrize(
    "reply", ["no no, you don't", "one two three four five " * 3, "you and you and you", "a b a c a b"]
)
def test_what_is_no_loop_passes(reply):
    assert reason(reply) is None


def test_four_of_one_punctuation_mark_are_too_many():
    assert reason("What!!!!") == "punctuation"
    assert reason("What!!! No!!!") is None


def test_the_previous_reply_is_not_said_again():
    assert reason("i could eat a whole turkey - MAN") == "repeat"
    assert reason("I could eat a whole chicken, man.") is None


def test_a_short_reply_may_come_again():
    scene = Scene((Turn("Guest", "hi"), Turn(JOEY.name, "Yeah, I know."), Turn("Guest", "so?")))
    assert refusal("Yeah, I know.", scene, JOEY, OTHERS) is None


def test_only_the_last_reply_of_this_persona_counts_as_a_repeat():
    said = "I have to go to work now."
    scene = Scene(
        (Turn(JOEY.name, said), Turn("Chandler Bing", "Well, that makes one of us."), Turn(JOEY.name, "Bye!"))
    )
    assert refusal(said, scene, JOEY, OTHERS) is None
    assert refusal("Well, that makes one of us.", scene, JOEY, OTHERS) is None


def test_the_predicate_decides_what_is_offensive():
    assert refusal("you turnip", SCENE, JOEY, OTHERS, lambda text: "turnip" in text) == "offensive"
    assert refusal("you carrot", SCENE, JOEY, OTHERS, lambda text: "turnip" in text) is None


def test_a_name_of_punctuation_stands_for_itself():
    scene = Scene((Turn("(a+)+$", "hi"),))
    assert refusal("(a+)+$: hello", scene, JOEY, OTHERS) == "another speaker"
    assert refusal("aaaa hello", scene, JOEY, OTHERS) is None
