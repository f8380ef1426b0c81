"""What the clock decides, and the log that lets a run be repeated without it.

A run bounded by minutes depends on how fast the machine was. So every decision made from the clock
is written down with its step before it takes effect; a replay reads them instead of a clock and
ends with the same bits.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from training.budget import Budget
from training.schedule import DECAY_SHARE, Decay, Schedule

FILE_NAME = "decisions.jsonl"
VALIDATIONS_A_PASS, VALIDATIONS_A_RUN = 8, 4
_LONG_PASS_SECONDS, _LONG_PASS_STEPS = 30 * 60, 400
_DRIFT, _STEPS_BETWEEN_DECAYS = 0.1, 10
_BEFORE_THE_LAST = 0.75  # the share of validating that is spent before the last one, which every run ends with


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided after `step` steps: to validate, to stop and why, or to let the rate decay.

    A decay begins after `start` steps and lasts `steps`.
    """

    step: int
    what: Literal["validate", "decay", "stop"]
    start: int = 0
    steps: int = 0
    reason: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields that say something."""
        return {key: value for key, value in asdict(self).items() if value or key == "step"}


class Decider(Protocol):
    """Who decides."""

    def decide(self, step: int) -> list[Decision]:
        """Return what happens after `step` steps; asked once before the first step of a start, too."""
        ...

    def validated(self, step: int, seconds: float) -> None:
        """Hear that a validation took so long."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`pass_steps` make a pass over the show; `max_steps` bound the run; a `share` of the time goes into validating."""

    pass_steps: float
    max_steps: int | None
    share: float


class Clock:
    """Decides by the budget, or by steps alone where they bound the run."""

    def __init__(self, budget: Budget, schedule: Schedule, pace: Pace, last_validation: int = 0) -> None:
        self._budget, self._schedule, self._pace = budget, schedule, pace
        self._last_validation = last_validation
        self._validation_seconds = 0.0

    def decide(self, step: int) -> list[Decision]:
        """Return what is due after `step` steps."""
        reason = self._is_over(step)
        if reason:
            return [Decision(step, "stop", reason=reason)]
        made = []
        if step - self._last_validation >= self._steps_between_validations():
            self._last_validation = step
            made.append(Decision(step, "validate"))
        decay = self._decay(step)
        return [*made, decay] if decay else made

    def validated(self, step: int, seconds: float) -> None:
        """Take how long a validation lasts into account."""
        self._last_validation, self._validation_seconds = step, seconds

    def _is_over(self, step: int) -> str:
        if self._pace.max_steps and step >= self._pace.max_steps:
            return "steps"
        return "minutes" if self._budget.is_over() else ""

    def _steps_between_validations(self) -> float:
        """Return an eighth of a long pass or one short pass, never less often than four times a run.

        Validating keeps inside its share of the time; where steps bound the run it must not depend
        on the clock, so there a pass is long by its steps.
        """
        pace, seconds = self._pace, self._budget.step_seconds
        if pace.max_steps:
            a_pass = VALIDATIONS_A_PASS if pace.pass_steps >= _LONG_PASS_STEPS else 1
            return max(1.0, min(pace.pass_steps / a_pass, pace.max_steps / VALIDATIONS_A_RUN))
        if not seconds:
            return math.inf
        wanted = seconds_between_validations(pace.pass_steps * seconds, self._budget.minutes * 60)
        affordable = self._validation_seconds / (_BEFORE_THE_LAST * pace.share)
        return max(1.0, max(wanted, affordable) / seconds)

    def _decay(self, step: int) -> Decision | None:
        """Return a decay to be planned, or planned anew; none before a step of this start has told how many fit."""
        if not (math.isinf(self._budget.minutes) or self._budget.step_seconds):
            return None
        left, decays = self._steps_left(step), self._schedule.decays
        if self._schedule.is_stable(step):
            if self._budget.progress() >= 1 - DECAY_SHARE:
                return Decision(step, "decay", step, int(left))
            if self._pace.max_steps and not decays:
                steps = max(1, round(DECAY_SHARE * self._pace.max_steps))
                return Decision(step, "decay", self._pace.max_steps - steps, steps)
            return None
        last = decays[-1]
        planned = last.step + last.steps - step
        if step - last.step >= _STEPS_BETWEEN_DECAYS and abs(left - planned) > max(2.0, _DRIFT * planned):
            return Decision(step, "decay", step, int(left))
        return None

    def _steps_left(self, step: int) -> float:
        """Return how many steps are to come, by the clock or by the bound; at least 1."""
        by_bound = self._pace.max_steps - step if self._pace.max_steps else math.inf
        by_clock = math.inf if math.isinf(self._budget.minutes) else self._budget.steps_left()
        return max(1, min(by_bound, by_clock))


def seconds_between_validations(a_pass: float, a_run: float) -> float:
    """Return the seconds between validations, from those of a pass and of the run."""
    times_a_pass = VALIDATIONS_A_PASS if a_pass >= _LONG_PASS_SECONDS else 1
    return min(a_pass / times_a_pass, a_run / VALIDATIONS_A_RUN)


class Replay:
    """Decides what an earlier run decided; `log` holds its decisions."""

    def __init__(self, log: Iterable[Decision]) -> None:
        self._by_step: dict[int, list[Decision]] = {}
        for decision in log:
            self._by_step.setdefault(decision.step, []).append(decision)

    def decide(self, step: int) -> list[Decision]:
        """Return what was decided after `step` steps."""
        return self._by_step.get(step, [])

    def validated(self, step: int, seconds: float) -> None:
        """Ignore the clock."""


def apply(decision: Decision, schedule: Schedule) -> None:
    """Let a decay take effect."""
    if decision.what == "decay":
        schedule.decay(Decay(decision.start, decision.steps))


def read_decisions(lines: Iterable[str]) -> list[Decision]:
    """Parse the lines of a log; raises ValueError for a line that is none of its own."""
    return [_decision(json.loads(line)) for line in lines if line.strip()]


def find_log(path: Path) -> Path:
    """Return the log that `path` names: the file itself, or the one in a run's folder."""
    return path / FILE_NAME if path.is_dir() else path


def _decision(fields: Any) -> Decision:
    if not isinstance(fields, Mapping) or fields.get("what") not in ("validate", "decay", "stop"):
        raise ValueError("a line is no decision")
    numbers = {key: int(fields.get(key, 0)) for key in ("step", "start", "steps")}
    if fields["what"] == "decay" and numbers["steps"] < 1:
        raise ValueError("a decay lasts no steps")
    return Decision(what=fields["what"], reason=str(fields.get("reason", "")), **numbers)
