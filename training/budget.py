"""The clock of a run: wall-clock minutes over all its starts, and what they leave for training."""

import time
from dataclasses import dataclass, field

DECAY_SHARE = 0.2
WARM_UP_STEPS = 20
_MARGIN_SECONDS = 2.0


@dataclass
class Budget:
    """`minutes` may be spent, from `started` (of `time.monotonic()`) to the last byte saved.

    `spent_before` are the minutes of earlier starts: they count for the schedule, so that a
    resumed run decays where an uninterrupted one would. `step` is the number of steps done.
    """

    minutes: float
    started: float
    spent_before: float = 0.0
    max_steps: int | None = None
    step: int = 0
    step_seconds: float = field(default=0.0, init=False)
    _step_began: float = field(default=0.0, init=False)
    _needed: dict[str, float] = field(default_factory=dict, init=False)

    def spent(self) -> float:
        """Return the minutes since this start's command began."""
        return (time.monotonic() - self.started) / 60

    def total(self) -> float:
        """Return the minutes spent over all starts."""
        return self.spent_before + self.spent()

    def progress(self) -> float:
        """Return the share of the run that is done, between 0 and 1, by the clock or by steps."""
        usable = max(1e-6, self.spent_before + self.minutes - self.reserve / 60)
        share = self.total() / usable
        if self.max_steps:
            share = max(share, self.step / self.max_steps)
        return min(1.0, share)

    def step_began(self) -> None:
        """Note that a step begins."""
        self._step_began = time.monotonic()

    def step_ended(self, step: int) -> None:
        """Note that step number `step` ended, and how long the slowest of late took."""
        self.step = step
        self.step_seconds = max(time.monotonic() - self._step_began, 0.9 * self.step_seconds)

    def needs(self, what: str, seconds: float) -> None:
        """Keep at least `seconds` at the end for `what` (validating, saving), as measured so far."""
        self._needed[what] = max(seconds, self._needed.get(what, 0.0))

    @property
    def reserve(self) -> float:
        """Return the seconds kept for what comes after the last step."""
        return _MARGIN_SECONDS + sum(self._needed.values())

    def is_over(self) -> bool:
        """Say whether another step could not end in time, or all steps are done."""
        return bool(self.max_steps and self.step >= self.max_steps) or self.is_out_of_time()

    def is_out_of_time(self) -> bool:
        """Say whether the clock, not the number of steps, forbids another step."""
        return self.spent() * 60 + self.step_seconds + self.reserve >= self.minutes * 60

    def learning_rate(self, step: int) -> float:
        """Return the factor on the learning rate: warm-up, stable, and a linear decay to the end.

        The decay follows the clock, so it fits into the budget however fast the machine is
        (warm-up-stable-decay, Hu et al. 2024, arXiv:2404.06395).
        """
        warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
        return warm_up * min(1.0, (1.0 - self.progress()) / DECAY_SHARE)
