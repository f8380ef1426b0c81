"""The learning rate: warm-up, stable, and a decay that can be decided on at any step."""

from collections.abc import Iterable
from dataclasses import dataclass

WARM_UP_STEPS = 20
DECAY_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Decay:
    """From `step` on, the rate falls linearly from where it is to nothing, over `steps` steps."""

    step: int
    steps: int


class Schedule:
    """The factor on the learning rate, a pure function of the step and of the decays decided on.

    Warm-up-stable-decay (Hu et al. 2024, arXiv:2404.06395). A later decay replaces an earlier one
    from its step on, so a decay is stretched or shortened when the machine turns out slower or
    faster than it was.
    """

    def __init__(self, decays: Iterable[Decay] = ()) -> None:
        self.decays: list[Decay] = list(decays)

    def decay(self, decay: Decay) -> None:
        """Add a decay."""
        self.decays.append(decay)

    def factor(self, step: int) -> float:
        """Return the factor for the step that follows `step` done ones."""
        return min(1.0, (step + 1) / WARM_UP_STEPS) * self._decayed(step, len(self.decays))

    def is_stable(self, step: int) -> bool:
        """Say whether no decay has begun."""
        return not any(decay.step <= step for decay in self.decays)

    def _decayed(self, step: int, known: int) -> float:
        """Return the decay's part, knowing the first `known` decays only."""
        for number in range(known - 1, -1, -1):
            decay = self.decays[number]
            if decay.step <= step:
                done = min(1.0, (step - decay.step) / decay.steps)
                return self._decayed(decay.step, number) * (1.0 - done)
        return 1.0
