"""Who decides what: the clock, the steps, or the log of an earlier run."""

import json
import math
import time
from pathlib import Path

import pytest

from training.budget import Budget
from training.decisions import Clock, Decision, Pace, Replay, apply, find_log, read_decisions
from training.schedule import Decay, Schedule


def by_steps(max_steps: int, pass_steps: float = 1000.0) -> tuple[Clock, Schedule]:
    schedule = Schedule()
    return Clock(Budget(math.inf, time.monotonic()), schedule, Pace(pass_steps, max_steps, 0.05)), schedule


def decided(clock: Clock, schedule: Schedule, steps: int) -> list[Decision]:
    made = []
    for step in range(steps + 1):
        for decision in clock.decide(step):
            apply(decision, schedule)
            made.append(decision)
    return made


def test_steps_alone_decide_where_they_bound_the_run() -> None:
    clock, schedule = by_steps(40)
    assert decided(clock, schedule, 40) == [
        Decision(0, "decay", start=32, steps=8),
        Decision(10, "validate"),
        Decision(20, "validate"),
        Decision(30, "validate"),
        Decision(40, "stop", reason="steps"),
    ]


@pytest.mark.parametrize(("pass_steps", "between"), [(1000, 125), (100, 100)])
def test_a_long_pass_is_validated_eight_times_and_a_short_one_once(pass_steps: int, between: int) -> None:
    clock, schedule = by_steps(10_000, pass_steps)
    validated = [one.step for one in decided(clock, schedule, 600) if one.what == "validate"]
    assert validated == list(range(between, 601, between))


def clocked(minutes: float, spent: float, step_seconds: float) -> tuple[Clock, Schedule, Budget]:
    budget = Budget(minutes, time.monotonic(), spent)
    budget._seconds.extend([step_seconds] * 5)
    schedule = Schedule()
    return Clock(budget, schedule, Pace(1000.0, None, 0.05)), schedule, budget


def test_the_decay_fits_into_the_budgets_end() -> None:
    clock, schedule, _ = clocked(10.0, 7.0, 1.0)
    assert [one.what for one in clock.decide(100)] == []
    clock, schedule, budget = clocked(10.0, 8.5, 1.0)
    found = next(one for one in clock.decide(500) if one.what == "decay")
    assert found.start == 500
    assert 85 <= found.steps <= 90
    apply(found, schedule)
    budget.spent_before += 11 / 60
    assert not [one for one in clock.decide(511) if one.what == "decay"]
    budget._seconds.extend([3.0] * 20)  # the machine became slower: fewer steps fit
    again = next(one for one in clock.decide(512) if one.what == "decay")
    assert 25 <= again.steps <= 30


def after_a_start(minutes: float, spent: float, schedule: Schedule, step: int, steps: int) -> list[float]:
    """Return the rate's factor of each of `steps` steps of a second that follow a start after `step` steps."""
    budget = Budget(minutes, time.monotonic(), spent)
    clock, factors = Clock(budget, schedule, Pace(1000.0, None, 0.05)), []
    for one in range(step, step + steps):
        for decision in clock.decide(one):
            apply(decision, schedule)
        factors.append(schedule.factor(one))
        budget._seconds.append(1.0)
        budget.spent_before += 1 / 60
    return factors


def test_minutes_added_late_are_learned_from() -> None:
    factors = after_a_start(140.0, 120.0, Schedule(), 5000, 600)  # 85.7 % are spent when it starts
    assert factors[0] == 1.0
    assert factors[300] == pytest.approx(1 - 300 / 1200, abs=0.02)
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(0.5, abs=0.02)


def test_a_decay_that_was_interrupted_goes_on_where_it_was() -> None:
    schedule = Schedule([Decay(5000, 600)])
    factors = after_a_start(100.0, 95.0, schedule, 5300, 100)
    assert factors[0] == pytest.approx(0.5, abs=0.01)
    assert factors[-1] == pytest.approx(0.5 * (1 - 99 / 300), abs=0.02)


def test_minutes_that_are_spent_stop_the_run() -> None:
    clock, _, _ = clocked(10.0, 9.99, 1.0)
    assert clock.decide(7) == [Decision(7, "stop", reason="minutes")]


def test_validating_keeps_inside_its_share() -> None:
    clock, _, _ = clocked(100.0, 1.0, 0.1)
    clock.validated(0, seconds=37.5)  # three quarters of 5 % mean one in 1000 s, that is in 10,000 steps
    assert clock.decide(9_999) == []
    assert clock.decide(10_001) == [Decision(10_001, "validate")]


def test_a_log_repeats_its_run(tmp_path: Path) -> None:
    made = [Decision(3, "validate"), Decision(5, "decay", 5, 4), Decision(9, "stop", reason="minutes")]
    file = tmp_path / "decisions.jsonl"
    file.write_text("".join(json.dumps(one.to_mapping()) + "\n" for one in made))
    assert find_log(tmp_path) == file == find_log(file)
    log = read_decisions(file.read_text().splitlines())
    assert log == made
    replay, schedule = Replay(log), Schedule()
    replay.validated(3, 1000.0)
    seen = [decision for step in range(10) for decision in replay.decide(step)]
    assert seen == made
    apply(made[1], schedule)
    assert schedule.decays == [Decay(5, 4)]


@pytest.mark.parametrize(
    "line", ["[]", '{"step": 1}', '{"step": 1, "what": "fly"}', '{"step": 1, "what": "decay"}', "{"]
)
def test_what_is_no_decision_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"decision|decay|Expecting"):
        read_decisions([line])
