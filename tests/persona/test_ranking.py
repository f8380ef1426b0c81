"""What the parts are made of, and which weights are refused."""

import math
from typing import Any

import pytest

from persona.ranking import BREVITY, PARTS, Evidence, Parts, RankingError, Weights, above_mean

PLAIN = dict.fromkeys(PARTS, 0.0)
ONE_EACH = Weights(1, 1, 1, 1, PLAIN)


def test_what_was_not_asked_is_worth_nothing() -> None:
    assert Parts.of(Evidence(5, -10.0)) == Parts(-2.0, tokens=5)
    rivals = [Parts.of(Evidence(5, -10.0)), Parts.of(Evidence(5, -20.0))]
    assert ONE_EACH.scores(rivals) == Weights(1, 0, 0, 0, PLAIN).scores(rivals)
    assert Weights(0, 1, 1, 1).scores(rivals) == [0, 0]


def test_information_is_how_much_likelier_the_reply_is_here_than_nowhere() -> None:
    assert Parts.of(Evidence(5, -10.0, nowhere=-25.0)).information == 3.0


def test_a_part_is_what_a_token_is_worth() -> None:
    short, long = (
        Parts.of(Evidence(size, -2.0 * size, -5.0 * size, (-3.0 * size,), (-4.0 * size,))) for size in (2, 20)
    )
    assert short == Parts(-2.0, 3.0, 2.0, -3.0, 2)
    assert long == Parts(-2.0, 3.0, 2.0, -3.0, 20)


@pytest.mark.parametrize("size", [2, 5, 40])
@pytest.mark.parametrize("level", [-3.0, -0.5])
def test_no_length_is_worth_anything_by_itself_in_any_conversation(size: int, level: float) -> None:
    def ordinary(tokens: int) -> Parts:
        return Parts(*(level + BREVITY[part] / tokens for part in PARTS), tokens)

    assert Weights().scores([ordinary(size), ordinary(1), ordinary(8), ordinary(60)]) == pytest.approx([0] * 4)


def test_a_part_is_held_against_the_mean_of_all_tokens_and_strays_as_the_root_of_the_length() -> None:
    rivals = [Parts(-1.0, tokens=9), Parts(-2.0, tokens=1)]
    assert [one["likelihood"] for one in above_mean(rivals, PLAIN)] == pytest.approx([3 * 0.1, -0.9])
    assert above_mean([Parts(-1.0, 2.0, tokens=4)], PLAIN) == [{"likelihood": 0.0, "information": 0.0}], "alone"
    assert above_mean([], PLAIN) == []


def test_persona_gain_is_against_any_other_name() -> None:
    gain = Parts.of(Evidence(4, -8.0, others=(-10.0, -10.0))).persona_gain
    assert gain == pytest.approx(0.5)
    one_as_good = Parts.of(Evidence(4, -8.0, others=(-8.0, -1000.0))).persona_gain
    assert one_as_good == pytest.approx(math.log(2) / 4), "nobody is told apart from who would say it as well"


def test_what_everybody_says_everywhere_costs() -> None:
    dull = Parts.of(Evidence(3, -6.0, elsewhere=(-6.0, -6.0, -6.0)))
    rare = Parts.of(Evidence(3, -6.0, elsewhere=(-30.0, -30.0, -30.0)))
    assert dull.commonness == pytest.approx(-2.0)
    common, uncommon = Weights(0, 0, 0, 1).scores([dull, rare])
    assert uncommon > common


def test_the_score_is_the_weighted_sum() -> None:
    rivals = [Parts(-2.0, 15.0, 3.0, -4.0), Parts(0.0, 5.0, 1.0, 0.0)]
    assert ONE_EACH.scores(rivals) == [-1.0 + 5.0 + 1.0 + 2.0, 1.0 - 5.0 - 1.0 - 2.0]
    assert Weights(2.0, 0.1, 0.5, 0, PLAIN).scores(rivals)[0] == pytest.approx(-2.0 + 0.5 + 0.5)


def test_very_unlikely_replies_are_still_compared() -> None:
    parts = Parts.of(Evidence(400, -5000.0, -6000.0, (-7000.0, -9000.0), (-5100.0, -5200.0)))
    assert all(math.isfinite(getattr(parts, part)) for part in PARTS)
    assert parts.persona_gain == pytest.approx((100 + math.log(2)) / 400)


def test_weights_make_a_round_trip_through_a_card() -> None:
    assert Weights.from_mapping(ONE_EACH.to_mapping()) == ONE_EACH
    assert Weights.from_mapping({}) == Weights()
    assert Weights.from_mapping({"information": 2}) == Weights(0, 2, 0, 0)
    assert Weights.from_mapping({"brevity": {"likelihood": 2}}).brevity == BREVITY | {"likelihood": 2.0}
    assert Weights.from_mapping({"usual": {"likelihood": [-3, 0.5]}}) == Weights(), "a card of an earlier version"


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, 10**400, "1", None, True])
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
        ({"brevity": 3}, "must be a table of its parts"),
        ({"brevity": {"charm": 1}}, "must be a table of its parts"),
        ({"brevity": {"likelihood": [1, 2]}}, "brevity of likelihood must be a number"),
    ],
)
def test_a_table_that_ranks_nothing_is_refused(table: Any, complaint: str) -> None:
    with pytest.raises(RankingError, match=complaint):
        Weights.from_mapping(table)
