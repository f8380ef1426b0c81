"""Shares have intervals, and a share over episodes has that of a bootstrap where there is something to draw."""

import pytest

from training.evaluation.figures import Figure
from training.evaluation.shares import Name, Share

NAME = Name("short", "short ones")
EPISODES = [f"e{number % 10}" for number in range(200)]


def test_shares_have_intervals():
    assert str(Share(0, 2000)) == "0 of 2,000: below 0.15 %"
    assert str(Share(3, 2000)) == "3 of 2,000: 0.15 % (0.05 to 0.44)"
    low, high = Share(10, 20).interval
    assert (low, high) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert str(Share(0, 0)) == "none"


def test_a_share_is_a_figure_beside_people():
    figure = NAME.share([number % 4 == 0 for number in range(200)], EPISODES, [True, False])
    assert (figure.key, figure.label, figure.unit) == ("short", "short ones", "share")
    assert (figure.value, figure.people) == (0.25, 0.5)
    assert 0 < figure.low < 0.25 < figure.high < 1


def test_the_episodes_are_what_is_drawn():
    in_one_episode = NAME.share([one in ("e0", "e1") for one in EPISODES], EPISODES)
    everywhere = NAME.share([number < 40 for number in range(200)], EPISODES)
    assert in_one_episode.value == everywhere.value
    assert in_one_episode.high - in_one_episode.low > 5 * (everywhere.high - everywhere.low)


def test_none_and_all_have_an_interval_too():
    none, every = (NAME.share([hit] * 200, EPISODES) for hit in (False, True))
    assert (none.value, none.low, none.high) == (0, 0, 3 / 200)
    assert every.value == 1
    assert 0.97 < every.low < every.high <= 1


def test_of_nothing_nobody_can_say():
    assert NAME.share([], []) == Figure("short", "short ones", None, note="no replies")
