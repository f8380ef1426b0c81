"""Texts that people read as the same words are the same words."""

import pytest

from persona.words import words_of


@pytest.mark.parametrize(
    "text",
    [
        "Don't you KNOW?! Café - twenty-five",
        "don’t you know cafe twenty five",
        "don‘t 'you' know: café, twenty_five!",
        "ＤＯＮ＇Ｔ ｙｏｕ ｋｎｏｗ ｃａｆé twenty–five",
        "don´t you kno\u00adw ca\u200bfe\u0301 «twenty five»",
    ],
)
def test_spelling_makes_no_difference(text):
    assert words_of(text) == ["dont", "you", "know", "cafe", "twenty", "five"]


def test_letters_of_any_script_are_words_and_signs_are_none():
    assert words_of("Straße, strasse; ΣΊΣΥΦΟΣ σίσυφος") == ["strasse", "strasse", "σισυφοσ", "σισυφοσ"]
    assert words_of("они знают 42") == ["они", "знают", "42"]
    assert words_of("... ?! 🙂 _ ''") == []
