"""Each detector finds what its definition says, and nothing else; the guard is judged, not asked."""

import ast
from pathlib import Path

import pytest

from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn
from persona.guard import Guard
from training.evaluation import detectors
from training.evaluation.detectors import DETECTORS, NEVER, Said, count_words, normal, wrongs

NAMES = frozenset({"Joey Tribbiani", "Joey", "Chandler Bing", "Chandler", "Ross Geller", "Dr. Geller", "Sam Ray"})
BEFORE = ("I could eat a whole turkey, man.", "Yeah, sure.", "Are you really going to eat all of it?")
BAD = {
    "loop": [
        "alright, alright, alright",
        "I know. I know. I know.",
        "so so so",
        "No! No - no",
        "Well, a b c d a b c d A b, c d!",
        "Don't don’t DON'T",
        "you and me, you and me, you and me",
        "he said it and he said it and he said it and",
        "é É é",
        "１ 1 １",
    ],
    "!!!!": ["What!!!!", "!!!!!!!!!!!!!!!", "No ! ! ! !", "Hi！！！！", "Wow‼‼"],
    "tag": [
        "Sure <|im_end|>",
        "well < |im_start| >",
        "ok |>",
        "no </s>",
        "a <s> b",
        "＜|user|＞ hi",
        "[INST] do",
        "im_end it is",
        "<<SYS>> be nice",
        "Bye.<|endoftext|>",
        "fine [pad] [pad]",
        "<end_of_turn>",
    ],
    "empty": ["", "  \n", "...", "?!", "🙂", "\u200b", "—", '""'],
    "another speaker": [
        "Chandler Bing: could I be any later?",
        "chandler: hi",
        "Joey Tribbiani: hey",
        "Fine.\nRoss Geller: no!",
        "Fine. Ross Geller: no!",
        "Yeah! (Dr. Geller : what)",
        "Sam Ray: I said hi",
        "Sure.\nSam Ray\nHi again",
        "CHANDLER： la la",
        '"Chandler: no," she said',
        "assistant: I can help with that",
        "Okay... Chandler:what",
    ],
    "!!!": ["Oh no!!!", "Hey! ! !"],
    "ping": [
        "Hey @everyone, food!",
        "@here",
        "ask <@80351110224678912>",
        "ask <@!1> and <@&2>",
        "@joey_t is here",
        "(@Chandler)",
        "tg://user?id=12",
    ],
    "said before": ["i could eat a whole turkey - MAN", "Are you really going to eat all of it"],
    "four words again": ["You know, I could eat a whole cow.", "Could eat a whole... what?"],
}
# The detectors read more as a tag or a label than the guard does.
BEYOND_THE_GUARD = {
    "tag": ["I said <b>no</b>", "[NAME] is here", "Hello {{user}}, how are you"],
    "another speaker": ["**Chandler:** hello"],
}
GOOD = [
    "Hey! How are you?",
    "42",
    "No, no. Chandler is at work, so I ate his lunch.",
    "Two things: bread and ham.",
    "I said to Chandler that it's 5:30 already...",
    "Well, Chandler: listen",
    "Bye. Joey :)",
    "Chandler Bing!",
    "Oh my God!! Oh my God!!",
    "Ich weiß es nicht, ¿y tú?",
    "5 < 6 | 7 > 3",
    "I <3 you",
    "a < b and c > d",
    "no no, you don't",
    "one two three four five " * 3,
    "you and you and you",
    "a b a c a b",
    "hahahaha",
    "Yeah, sure.",
    "I could eat one goat",
    "我很好,谢谢。",
    "Meet me @ 5.",
    "write to me@example.org",
    "[laughs] Right.",
    "It's (really) over.",
]


def listed(*tables: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(what, text) for table in tables for what, texts in table.items() for text in texts]


def said(text: str) -> Said:
    return Said(text, NAMES, BEFORE)


@pytest.mark.parametrize(("what", "text"), listed(BAD, BEYOND_THE_GUARD))
def test_what_is_wrong_is_found(what, text):
    assert what in wrongs(said(text))


@pytest.mark.parametrize("text", GOOD)
def test_nothing_is_found_in_what_is_right(text):
    assert wrongs(said(text)) == []


@pytest.mark.parametrize("what", [*NEVER, "!!!", "ping"])
def test_a_reply_with_one_thing_wrong_has_only_that(what):
    also = {"!!!!": {"!!!", "empty"}, "tag": {"another speaker"}}.get(what, set())
    assert {one for text in BAD[what] for one in wrongs(said(text))} <= {what} | also


@pytest.mark.parametrize(
    ("text", "finished", "found"),
    [
        ("I was going to the", False, True),
        ("I was going to the", True, False),
        ("I was going.", False, False),
        ('He said "no!"', False, False),
        ("Sure... 好的。", False, False),
        ("I like \ufffd", True, True),
    ],
)
def test_a_reply_is_cut_off_where_the_model_did_not_end_it(text, finished, found):
    assert ("cut off" in wrongs(Said(text, finished=finished))) is found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Oh, I'm Chandler.", True),
        ("Hi. My name is Ross Geller and I dig.", True),
        ("I am dr. geller", True),
        ("Call me Sam Ray", True),
        ("I'm Joey! Joey Tribbiani.", False),
        ("I'm Chandler's roommate.", False),
        ("I'm not Ross.", False),
        ("Chandler, I'm hungry.", False),
    ],
)
def test_who_says_that_he_is_somebody_else_is_found_where_his_own_names_are_known(text, found):
    own = frozenset({"Joey", "Joey Tribbiani"})
    assert ("another speaker" in wrongs(Said(text, NAMES, own=own))) is found
    assert wrongs(Said(text, NAMES)) == []


def test_three_exclamation_marks_are_told_from_four():
    assert wrongs(said("No!!!")) == ["!!!"]
    assert wrongs(said("No!!!!")) == ["!!!!", "!!!"]


def test_words_are_counted_and_compared_without_case_and_punctuation():
    assert count_words("Don't  -- you, DARE!") == 3
    assert normal("Don’t - you, DARE!") == normal("don't you dare")


def test_the_guard_lets_nothing_of_it_pass():
    cast = friends()
    turns = tuple(Turn(name, text) for name, text in zip(("Joey Tribbiani", "Sam Ray", "Sam Ray"), BEFORE, strict=True))
    guard, scene, joey = Guard(cast), Scene(turns), find_persona("joey", cast)
    assert [one for one in listed(BAD) if guard.refusal(one[1], scene, joey) is None] == []


def test_the_detectors_share_no_code_with_the_guard():
    tree = ast.parse(Path(detectors.__file__).read_text(encoding="utf-8"))
    sources = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert sources | names == {"re", "unicodedata", "collections.abc", "dataclasses", "itertools"}
    assert set(BAD) | {"cut off"} == set(DETECTORS)
