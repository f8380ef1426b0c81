"""What the parts are made of, and which weights are refused."""

import math
from typing import Any

import pytest

from persona.ranking import PARTS, USUAL, Evidence, Parts, RankingError, Usual, Weights

PLAIN = dict.fromkeys(PARTS, Usual(0.0, 0.0))
ONE_EACH = Weights(1, 1, 1, 1, PLAIN)


def test_what_was_not_asked_is_worth_nothing() -> None:
    alone = Parts.of(Evidence(5, -10.0))
    assert alone == Parts(-2.0, tokens=5)
    assert ONE_EACH.score(alone) == Weights(1, 0, 0, 0, PLAIN).score(alone)
    assert Weights(0, 1, 1, 1).score(alone) == 0, "whatever it usually is"


def test_information_is_how_much_likelier_the_reply_is_here_than_nowhere() -> None:
    assert Parts.of(Evidence(5, -10.0, nowhere=-25.0)).information == 3.0


def test_a_part_is_what_a_token_is_worth() -> None:
    short, long = (
        Parts.of(Evidence(size, -2.0 * size, -5.0 * size, (-3.0 * size,), (-4.0 * size,))) for size in (2, 20)
    )
    assert short == Parts(-2.0, 3.0, 2.0, -3.0, 2)
    assert long == Parts(-2.0, 3.0, 2.0, -3.0, 20)


@pytest.mark.parametrize("size", [2, 5, 40])
def test_no_length_is_worth_anything_by_itself(size: int) -> None:
    usual = Parts(*(USUAL[part].of(size) for part in PARTS), size)
    assert Weights().score(usual) == pytest.approx(0)
    better = Parts(usual.likelihood + 1 / math.sqrt(size), *(getattr(usual, part) for part in PARTS[1:]), size)
    assert Weights().score(better) == pytest.approx(1), "one standard step of a mean, however many it is the mean of"


def test_persona_gain_is_against_any_other_name() -> None:
    gain = Parts.of(Evidence(4, -8.0, others=(-10.0, -10.0))).persona_gain
    assert gain == pytest.approx(0.5)
    one_as_good = Parts.of(Evidence(4, -8.0, others=(-8.0, -1000.0))).persona_gain
    assert one_as_good == pytest.approx(math.log(2) / 4), "nobody is told apart from who would say it as well"


def test_what_everybody_says_everywhere_costs() -> None:
    dull = Parts.of(Evidence(3, -6.0, elsewhere=(-6.0, -6.0, -6.0)))
    rare = Parts.of(Evidence(3, -6.0, elsewhere=(-30.0, -30.0, -30.0)))
    assert dull.commonness == pytest.approx(-2.0)
    assert Weights(0, 0, 0, 1).score(rare) > Weights(0, 0, 0, 1).score(dull)


def test_the_score_is_the_weighted_sum() -> None:
    assert ONE_EACH.score(Parts(-2.0, 15.0, 3.0, -4.0)) == -2.0 + 15.0 + 3.0 + 4.0
    assert Weights(2.0, 0.1, 0.5, 0, PLAIN).score(Parts(-2.0, 15.0, 3.0, -4.0)) == pytest.approx(-4.0 + 1.5 + 1.5)


def test_very_unlikely_replies_are_still_compared() -> None:
    parts = Parts.of(Evidence(400, -5000.0, -6000.0, (-7000.0, -9000.0), (-5100.0, -5200.0)))
    assert all(math.isfinite(getattr(parts, part)) for part in PARTS)
    assert parts.persona_gain == pytest.approx((100 + math.log(2)) / 400)


def test_weights_make_a_round_trip_through_a_card() -> None:
    assert Weights.from_mapping(ONE_EACH.to_mapping()) == ONE_EACH
    assert Weights.from_mapping({}) == Weights()
    assert Weights.from_mapping({"information": 2}) == Weights(0, 2, 0, 0)
    known = {"likelihood": [-3, 0.5]}
    assert Weights.from_mapping({"usual": known}).usual == USUAL | {"likelihood": Usual(-3.0, 0.5)}


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "1", None, True])
@pytest.mark.parametrize("name", PARTS)
def test_a_weight_is_a_number_from_0_up(name: str, value: Any) -> None:
    with pytest.raises(RankingError, match=name):
        Weights.from_mapping(ONE_EACH.to_mapping() | {name: value})


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"charm": 1.0}, "unknown weight 'charm'"),
        ({"information": 0}, "at least one"),
        ([1], "must be a table"),
        ({"usual": 3}, "must be a table of its parts"),
        ({"usual": {"charm": [1, 2]}}, "must be a table of its parts"),
        ({"usual": {"likelihood": [1]}}, "likelihood must be two numbers"),
        ({"usual": {"likelihood": [1, math.nan]}}, "likelihood must be two numbers"),
        ({"usual": {"likelihood": "ab"}}, "likelihood must be two numbers"),
    ],
)
def test_a_table_that_ranks_nothing_is_refused(table: Any, complaint: str) -> None:
    with pytest.raises(RankingError, match=complaint):
        Weights.from_mapping(table)
