"""The clock of a run: wall-clock minutes over all its starts, and what they leave for training."""

import math
import time
from collections import deque
from dataclasses import dataclass, field

_MARGIN_SECONDS = 1.5
_RECENT_STEPS = 20


@dataclass
class Budget:
    """`minutes` may be spent over all starts, saving and evaluating included; infinite where steps bound a run.

    `started` (of `time.monotonic()`) is when this start's command began, `spent_before` what
    earlier starts took.
    """

    minutes: float
    started: float
    spent_before: float = 0.0
    _step_began: float = field(default=0.0, init=False)
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT_STEPS), init=False)
    _needed: dict[str, float] = field(default_factory=dict, init=False)

    def total(self) -> float:
        """Return the minutes spent over all starts."""
        return self.spent_before + (time.monotonic() - self.started) / 60

    def left(self) -> float:
        """Return the minutes that may still be spent, 0 where none."""
        return max(0.0, self.minutes - self.total())

    def seconds_for_steps(self) -> float:
        """Return the seconds that are left for steps, once all that comes after the last is done."""
        return self.left() * 60 - self.reserve

    def progress(self) -> float:
        """Return the share of the minutes for training that are spent, from 0 to 1."""
        usable = self.minutes - self.reserve / 60
        return 0.0 if math.isinf(usable) else min(1.0, self.total() / max(1e-9, usable))

    def step_began(self) -> None:
        """Note that a step begins."""
        self._step_began = time.monotonic()

    def step_ended(self) -> None:
        """Note how long the step took."""
        self._seconds.append(time.monotonic() - self._step_began)

    @property
    def step_seconds(self) -> float:
        """Return the mean duration of the last steps in seconds, 0 before the first."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else 0.0

    def needs(self, what: str, seconds: float) -> None:
        """Keep `seconds` at the end for `what` (validating, saving, the report), as measured last."""
        self._needed[what] = seconds

    @property
    def reserve(self) -> float:
        """Return the seconds kept for what comes after the last step."""
        return _MARGIN_SECONDS + sum(self._needed.values())

    def steps_left(self) -> int:
        """Return how many steps still fit, by the last ones' mean; at least 1."""
        seconds = self.seconds_for_steps()
        if math.isinf(seconds) or not self._seconds:
            return 1
        return max(1, int(seconds / self.step_seconds))

    def is_over(self) -> bool:
        """Say whether another step like the slowest of late could not end in time."""
        return self.seconds_for_steps() <= max(self._seconds, default=0.0)
