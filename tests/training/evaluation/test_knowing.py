"""What a model knows of true lines is counted right, and moves with what it knows."""

import math
import random
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch

from persona.characters import friends
from persona.dialogue import Scene, Turn
from training.evaluation.figures import Figure, Measure
from training.evaluation.knowing import bits_against, knowing, wins
from training.evaluation.pieces import ScoredLine
from training.evaluation.plan import Line

NAMES = [one.name for one in friends()]
Model = Callable[[Line], Mapping[str, float]]
NOBODY = dict.fromkeys(NAMES, -12.0)


def line(number: int, speakers: Sequence[str], who: int, said: str = "the soup is cold again") -> Line:
    """Return a line of the friend `who`, after a turn of each of `speakers`."""
    turns = tuple(Turn(name, "Well?") for name in speakers)
    return Line(number, f"e{number % 10}", Scene(turns), friends()[who], said, ())


LINES = [line(number, ("Ann", NAMES[(number + 1) % 6]), number % 6) for number in range(300)]


def scored(lines: Sequence[Line], model: Model, **fields: object) -> dict[int, ScoredLine]:
    """Return what `model` thinks of lines of eight tokens."""
    pieces = [ScoredLine(one.number, 8, model(one), NOBODY, **fields) for one in lines]  # type: ignore[arg-type]
    return {one.number: one for one in pieces}


def knows(of: Line) -> dict[str, float]:
    """Think that the true speaker said it."""
    return NOBODY | {of.persona.name: -8.0}


def shuffled(of: Line) -> dict[str, float]:
    """Think that anybody said it."""
    return NOBODY | {random.Random(str(of.number)).choice(NAMES): -8.0}


def by_key(measures: Sequence[Measure]) -> dict[str, Figure]:
    """Return all figures by key."""
    return {figure.key: figure for measure in measures for figure in measure.figures}


def test_bits_and_perplexity_are_those_of_the_speaker() -> None:
    short, long = line(1, ("Ann",), 0, "abcd"), line(2, ("Ann",), 1, "äb" * 4)
    pieces = {1: ScoredLine(1, 2, knows(short), NOBODY), 2: ScoredLine(2, 6, knows(long), NOBODY)}
    found = by_key(knowing([short, long], pieces))
    assert found["bits_per_byte"].value == pytest.approx(16 / math.log(2) / (4 + 12))
    assert found["perplexity"].value == pytest.approx(math.exp(16 / 8))
    low, high = found["bits_per_byte"].low, found["bits_per_byte"].high
    assert (low, high) == pytest.approx((8 / math.log(2) / 12, 8 / math.log(2) / 4)), "one episode or the other"
    assert found["perplexity"].low == pytest.approx(math.exp(8 / 6))


def test_the_measures_have_their_names_and_lines_without_a_piece_are_left_out() -> None:
    pieces = scored(LINES[:120], knows)
    measures = knowing(LINES, pieces)
    assert [one.name for one in measures] == ["bits per byte", "speaker identification", "hits@1 of 20"]
    assert measures == knowing(LINES[:120], pieces)
    assert by_key(measures)["bits_per_byte"].note == "120 lines"
    assert all(figure.value is None for figure in by_key(knowing(LINES, {})).values())


def test_a_speaker_is_found_by_who_knows_and_by_nobody_else() -> None:
    found = by_key(knowing(LINES, scored(LINES, knows)))
    assert (found["who"].value, found["who"].low, found["who"].high) == (1.0, 1.0, 1.0)
    assert found["who_nowhere"].value == pytest.approx(1 / 6), "all level without context"
    chance = by_key(knowing(LINES, scored(LINES, shuffled)))["who"]
    assert chance.value == pytest.approx(1 / 6, abs=0.06)
    assert chance.low is not None
    assert chance.low < 1 / 6 < (chance.high or 0)
    level = by_key(knowing(LINES, scored(LINES, lambda _: NOBODY)))["who"]
    assert level.value == pytest.approx(1 / 6)


def test_short_lines_are_no_part_of_the_headline() -> None:
    lines = [line(0, ("Ann",), 0, "the soup is cold"), line(1, ("Ann",), 1, "It's the soup!")]
    found = by_key(knowing(lines, scored(lines, lambda of: knows(of) if of.number else NOBODY)))
    assert found["who"].value == pytest.approx(1 / 6)
    assert found["who"].note == "1 line"
    assert found["who"].label == "speaker found by the model, lines of 4 words and more"
    assert found["who_all"].value == pytest.approx((1 / 6 + 1) / 2)


JOEY, CHANDLER, MONICA = 0, 1, 2


@pytest.mark.parametrize(
    ("speakers", "who", "share"),
    [
        ((), JOEY, 1 / 6),
        (("Ann",), JOEY, 1 / 6),
        ((CHANDLER,), JOEY, 1 / 5),
        ((JOEY, CHANDLER), JOEY, 1),
        ((JOEY, CHANDLER), MONICA, 0),
        ((MONICA, JOEY, CHANDLER), JOEY, 1 / 2),
        ((MONICA, JOEY, MONICA, CHANDLER), JOEY, 0),
        ((MONICA, JOEY, MONICA), JOEY, 1),
        ((JOEY, "Ann", JOEY, "Ann", "Ann"), JOEY, 1),
        ((CHANDLER, JOEY, CHANDLER), CHANDLER, 0),
    ],
)
def test_the_rule_takes_who_spoke_most_and_not_last(speakers: Sequence[int | str], who: int, share: float) -> None:
    names = [one if isinstance(one, str) else friends()[one].name for one in speakers]
    lines = [line(0, names, who)]
    assert by_key(knowing(lines, scored(lines, knows)))["who_rule"].value == pytest.approx(share)


def test_the_model_is_compared_with_the_rule_line_by_line() -> None:
    lines = [line(number, (NAMES[number % 2], "Ann"), 0) for number in range(100)]
    found = by_key(knowing(lines, scored(lines, knows)))
    assert found["who_rule"].value == pytest.approx(0.5)
    ahead = found["who_ahead"]
    assert (ahead.value, ahead.unit) == (pytest.approx(0.5), "points")
    assert ahead.low is not None
    assert ahead.low > 0
    ruled = {0: -1.0, 1: -2.0}
    as_the_rule = scored(lines, lambda of: NOBODY | {of.conversation.turns[0].name: ruled[of.number % 2]})
    level = by_key(knowing(lines, as_the_rule))["who_ahead"]
    assert (level.value, level.low, level.high) == (0, 0, 0)


def test_one_character_cannot_be_mistaken() -> None:
    lines = LINES[::6]
    found = by_key(knowing(lines, scored(lines, lambda of: {of.persona.name: -8.0})))
    assert (found["who"].value, found["who"].note) == (None, "only one character is taught")
    assert found["who_ahead"].value is None
    assert found["bits_per_byte"].value is not None


def test_the_true_line_is_found_by_likelihood_and_by_information() -> None:
    bland = ((-20.0, -30.0, 8), *((-6.0, -6.0, 8),) * 19)
    found = by_key(knowing(LINES, scored(LINES, knows, among=bland)))
    assert (found["hits_likelihood"].value, found["hits_information"].value) == (0.0, 1.0)
    level = by_key(knowing(LINES, scored(LINES, knows, among=((-6.0, -9.0, 4),) * 20)))
    assert (level["hits_likelihood"].value, level["hits_information"].value) == pytest.approx((1 / 20, 1 / 20))
    longer = ((-20.0, -30.0, 40), *((-6.0, -16.5, 8),) * 19)
    by_token = by_key(knowing(LINES, scored(LINES, knows, among=longer)))
    assert (by_token["hits_likelihood"].value, by_token["hits_information"].value) == (1.0, 0.0)


def test_lines_with_none_to_be_found_among_are_not_counted() -> None:
    some = scored(LINES[:30], knows, among=((-1.0, -9.0, 4), *((-6.0, -9.0, 4),) * 19))
    found = by_key(knowing(LINES, scored(LINES, knows) | some))
    assert (found["hits_likelihood"].value, found["hits_likelihood"].note) == (1.0, "30 lines")
    assert by_key(knowing(LINES, scored(LINES, knows)))["hits_information"].value is None


def test_two_models_are_compared_on_the_lines_of_both() -> None:
    base = scored(LINES, lambda of: {of.persona.name: -10.0 - of.number % 7})
    better = scored(LINES[5:], lambda of: {of.persona.name: 0.84 * (-10.0 - of.number % 7)})
    ratio = bits_against(LINES, better, base)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.84, 0.84, 0.84))
    assert ratio.note == "295 lines"
    mixed = scored(LINES, lambda of: {of.persona.name: (-10.0 - of.number % 7) * (0.5 if of.episode < "e5" else 1.1)})
    uneven = bits_against(LINES, mixed, base)
    assert uneven.low is not None
    assert uneven.low < 0.8 < (uneven.high or 0)
    assert bits_against(LINES, {}, base).value is None


def test_a_win_is_shared_where_several_are_level() -> None:
    scores = torch.tensor([[1.0, 0.0, 1.0], [1.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
    assert wins(scores, torch.tensor([0, 0, 2])).tolist() == pytest.approx([1 / 2, 0, 1 / 3])
