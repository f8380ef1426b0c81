"""A step in parts that memory holds: out of memory halves the parts, never the step."""

from collections.abc import Callable, Sequence

import torch

from training.windows import Window

SMALLEST = 64


class MicroBatching:
    """How many tokens are computed at once; `tell` gets a sentence when they become fewer."""

    def __init__(self, tokens: int, step_tokens: int, tell: Callable[[str], None]) -> None:
        self.tokens = tokens
        self._step_tokens = step_tokens
        self._tell = tell

    def run(self, compute: Callable[[int], torch.Tensor], undo: Callable[[], None]) -> torch.Tensor:
        """Return what `compute` makes of a step in parts of so many tokens.

        Where memory runs out, `undo` takes back what was computed, and the step is begun again with
        the same dropout and parts of half the size. Raises torch.OutOfMemoryError or MemoryError
        where even the smallest parts are too large.
        """
        while True:
            random_state = torch.random.get_rng_state()
            on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
            try:
                return compute(self.tokens)
            except (torch.OutOfMemoryError, MemoryError):
                if self.tokens <= SMALLEST:
                    raise
            undo()
            torch.random.set_rng_state(random_state)
            if on_gpus:
                torch.cuda.set_rng_state_all(on_gpus)
                torch.cuda.empty_cache()
            self.tokens = max(SMALLEST, self.tokens // 2)
            self._tell(
                f"Memory ran out: computing {self.tokens} tokens at once from now on; "
                f"a step still learns from {self._step_tokens}."
            )


def micro_batches(windows: Sequence[Window], tokens: int) -> list[list[Window]]:
    """Part a step's windows so that each part's padded size is at most `tokens`; a longer window stands alone."""
    parts: list[list[Window]] = []
    for window in sorted(windows, key=len):
        if parts and (len(parts[-1]) + 1) * len(window) <= tokens:
            parts[-1].append(window)
        else:
            parts.append([window])
    return parts
