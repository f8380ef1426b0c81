"""The clock: what is kept for the end, over all starts."""

import math
import time

from training.budget import Budget


def test_over_before_the_last_things_would_not_fit() -> None:
    budget = Budget(minutes=1.0, started=time.monotonic() - 50)
    assert not budget.is_over()
    budget.needs("validation", 4.0)
    assert not budget.is_over()
    budget.needs("saving", 5.0)
    assert budget.is_over()
    budget.needs("saving", 1.0)
    assert not budget.is_over()


def test_minutes_count_over_all_starts() -> None:
    budget = Budget(minutes=10.0, started=time.monotonic(), spent_before=9.0)
    assert 0.98 < budget.left() < 1.0
    assert 0.9 < budget.progress() < 0.94
    assert 9.0 <= budget.total() < 9.1
    assert Budget(minutes=10.0, started=time.monotonic(), spent_before=11.0).left() == 0.0


def test_the_slowest_step_of_late_must_still_fit() -> None:
    budget = Budget(minutes=1.0, started=time.monotonic() - 58.4)
    assert not budget.is_over()
    budget.step_began()
    time.sleep(0.2)
    budget.step_ended()
    assert budget.is_over()


def test_steps_left_follow_their_mean() -> None:
    budget = Budget(minutes=1.0, started=time.monotonic())
    assert budget.steps_left() == 1
    for _ in range(3):
        budget.step_began()
        time.sleep(0.05)
        budget.step_ended()
    assert 600 < budget.steps_left() < 60 / 0.05


def test_a_run_bounded_by_steps_has_no_clock() -> None:
    budget = Budget(minutes=math.inf, started=time.monotonic() - 1e6)
    assert not budget.is_over()
    assert budget.progress() == 0.0
    assert budget.left() == math.inf
