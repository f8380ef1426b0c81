"""Intervals are over groups, paired where two are compared, and the same as those that were there before."""

import random

import pytest
import torch

from training.evaluation.figures import Figure
from training.evaluation.intervals import Interval, mean_interval, paired_difference, ratio_interval
from training.measures import Sums, bootstrap_ratio
from training.tuning.ablation import share

DRAW = random.Random(5)
EPISODES = [f"e{number % 20:02d}" for number in range(400)]
LEVEL = {episode: DRAW.gauss(0, 1) for episode in sorted(set(EPISODES))}
VALUES = [LEVEL[episode] + DRAW.gauss(2, 0.5) for episode in EPISODES]


def test_groups_are_what_the_interval_is_over() -> None:
    assert mean_interval(["a", "a", "b", "b"], [1, 0, 1, 0]) == (0.5, 0.5, 0.5)
    assert mean_interval(["a", "a", "b", "b"], [1, 1, 0, 0]) == (0.5, 0.0, 1.0)
    by_line = mean_interval([str(number) for number in range(400)], VALUES)
    assert width(mean_interval(EPISODES, VALUES)) > 2 * width(by_line), "lines of an episode are alike"


def test_it_agrees_with_the_formula_for_a_mean() -> None:
    values = [DRAW.gauss(0, 1) for _ in range(300)]
    found = mean_interval([str(number) for number in range(300)], values)
    mean, error = sum(values) / 300, float(torch.tensor(values).std()) / 300**0.5
    assert found == pytest.approx((mean, mean - 1.96 * error, mean + 1.96 * error), abs=0.01)


def test_it_agrees_with_the_older_bootstraps() -> None:
    assert mean_interval(EPISODES, VALUES) == pytest.approx(share(EPISODES, VALUES), abs=0.02)
    ours = {episode: Sums(100 + 5 * level) for episode, level in LEVEL.items()}
    theirs = {episode: Sums(120.0 + at) for at, episode in enumerate(LEVEL)}
    nats = [[sums[episode].nats for episode in LEVEL] for sums in (ours, theirs)]
    assert ratio_interval(list(LEVEL), *nats)[1:] == pytest.approx(bootstrap_ratio(ours, theirs), abs=0.002)


def test_a_ratio_is_of_sums() -> None:
    assert ratio_interval(["a", "b"], [1.0, 8.0], [1.0, 2.0]) == (3.0, 1.0, 4.0)
    assert ratio_interval(["a", "b"], [2.0, 4.0], [1.0, 2.0]) == (2.0, 2.0, 2.0)


def test_a_pair_is_compared_line_by_line() -> None:
    better = [value + 0.1 for value in VALUES]
    assert paired_difference(EPISODES, better, VALUES) == pytest.approx((0.1, 0.1, 0.1))
    noisy = paired_difference(EPISODES, [value + DRAW.gauss(0.1, 0.1) for value in VALUES], VALUES)
    assert noisy.low is not None
    assert noisy.low > 0
    assert width(noisy) < 0.1 * width(mean_interval(EPISODES, VALUES))


def test_what_cannot_be_said_is_none() -> None:
    assert mean_interval([], []) == (None, None, None)
    assert mean_interval(["a", "a"], [1, 2]) == (1.5, None, None)
    assert ratio_interval(["a", "b"], [1, 1], [0, 0]) == (None, None, None)
    assert ratio_interval(["a", "b"], [0, 1], [0, 1]) == (1.0, 1.0, 1.0), "without the rounds that have nothing below"


def test_seeds_are_fixed_and_nobody_elses_is_touched() -> None:
    before = torch.random.get_rng_state()
    assert mean_interval(EPISODES, VALUES) == mean_interval(EPISODES, torch.tensor(VALUES, dtype=torch.float64))
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_interval_fills_a_figure() -> None:
    figure = Figure("key", "label", *mean_interval(["a", "b"], [True, False]), "share")
    assert figure == Figure("key", "label", value=0.5, low=0.0, high=1.0, unit="share")


def width(interval: Interval) -> float:
    """Return how wide an interval is."""
    _, low, high = interval
    assert low is not None
    assert high is not None
    return high - low
