"""Long texts in pieces that Discord and Telegram take."""

import random

import pytest

from bot.platforms.pieces import pieces


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_a_short_text_is_one_piece():
    assert pieces("Hey! How you doin'?", 2000) == ["Hey! How you doin'?"]


def test_a_text_of_exactly_the_limit_is_one_piece():
    assert pieces("a" * 20, 20) == ["a" * 20]


def test_a_cut_falls_behind_a_sentence():
    assert pieces('I said "no!" Then I left. And came back.', 30) == ['I said "no!" Then I left.', "And came back."]


def test_a_cut_falls_at_a_line_break():
    assert pieces("/persona NAME\n/reset now and then", 20) == ["/persona NAME", "/reset now and then"]


def test_a_short_first_sentence_does_not_make_a_short_piece():
    assert pieces("No. one two three four five", 20) == ["No. one two three", "four five"]


def test_the_space_right_behind_the_limit_is_a_border():
    assert pieces("abcde fghij", 5) == ["abcde", "fghij"]


def test_a_word_longer_than_the_limit_is_cut():
    assert pieces("aaaaaaaaaa b", 4) == ["aaaa", "aaaa", "aa b"]


def test_a_character_of_two_units_is_never_split():
    assert pieces("😀" * 5, 5) == ["😀😀", "😀😀", "😀"]


@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_a_blank_text_has_no_piece(blank):
    assert pieces(blank, 10) == []


def test_a_limit_without_room_for_a_character_is_refused():
    with pytest.raises(ValueError, match="room"):
        pieces("😀", 1)


def test_nothing_is_lost_and_nothing_is_too_long_whatever_comes():
    chance = random.Random(7)
    for _ in range(400):
        text = "".join(chance.choices(["a", "bc", "😀", " ", "\n", ". ", '!" ', "é", "\u200d"], k=chance.randrange(60)))
        limit = chance.randrange(2, 30)
        found = pieces(text, limit)
        assert all(piece.strip() and units(piece) <= limit for piece in found), (text, limit, found)
        assert "".join("".join(found).split()) == "".join(text.split()), (text, limit, found)
