"""The learning rate: a pure function of the step and of the decays decided on."""

import pytest

from training.schedule import WARM_UP_STEPS, Decay, Schedule


def test_warm_up_then_stable() -> None:
    schedule = Schedule()
    assert schedule.factor(0) == 1 / WARM_UP_STEPS
    assert schedule.factor(WARM_UP_STEPS - 1) == 1.0 == schedule.factor(10**6)
    assert schedule.is_stable(10**6)


def test_a_decay_falls_linearly_to_nothing() -> None:
    schedule = Schedule([Decay(100, 10)])
    assert [schedule.factor(step) for step in (99, 100, 105, 109, 110, 500)] == pytest.approx([1, 1, 0.5, 0.1, 0, 0])
    assert schedule.is_stable(99)
    assert not schedule.is_stable(100)


def test_a_later_decay_goes_on_from_where_the_rate_is() -> None:
    schedule = Schedule([Decay(100, 10)])
    before = [schedule.factor(step) for step in range(100, 106)]
    schedule.decay(Decay(105, 50))
    assert [schedule.factor(step) for step in range(100, 106)] == before
    assert schedule.factor(130) == pytest.approx(0.25)
    assert schedule.factor(155) == 0.0


def test_a_decay_planned_ahead_changes_nothing_before_it() -> None:
    planned, plain = Schedule([Decay(1000, 5)]), Schedule()
    assert all(planned.factor(step) == plain.factor(step) for step in range(1001))
