"""The clock: what is kept for the end, and the schedule that follows it."""

import time

from training.budget import WARM_UP_STEPS, Budget


def test_over_before_the_last_things_would_not_fit() -> None:
    budget = Budget(minutes=1.0, started=time.monotonic() - 50)
    assert not budget.is_over()
    budget.needs("validation", 4.0)
    budget.needs("validation", 1.0)
    assert not budget.is_over()
    budget.needs("saving", 5.0)
    assert budget.is_over()


def test_earlier_starts_count_for_the_schedule_only() -> None:
    budget = Budget(minutes=1.0, started=time.monotonic(), spent_before=9.0)
    assert not budget.is_over()
    assert 0.89 < budget.progress() < 0.93
    assert 9.0 <= budget.total() < 9.1


def test_steps_bound_a_run_too() -> None:
    budget = Budget(minutes=float("inf"), started=time.monotonic(), max_steps=10)
    budget.step_began()
    budget.step_ended(9)
    assert not budget.is_over()
    assert budget.progress() == 0.9
    budget.step_ended(10)
    assert budget.is_over()
    assert not budget.is_out_of_time()


def test_warm_up_stable_decay() -> None:
    now = time.monotonic()
    assert Budget(100.0, now).learning_rate(0) == 1 / WARM_UP_STEPS
    assert Budget(100.0, now - 60 * 60).learning_rate(500) == 1.0
    assert 0.45 < Budget(100.0, now - 90 * 60).learning_rate(500) < 0.55
    assert Budget(100.0, now - 101 * 60).learning_rate(500) == 0.0
