"""Two recipes at work in turns, in one process, so that a machine's moods meet both."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.copied_recipe.recipe import Read
from bench.speed.ours import Record, say


@dataclass
class Tally:
    """What one side has done so far; `tokens` without padding."""

    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    lines: float = 0

    def row(self) -> str:
        """Return the figures as they are printed."""
        return (
            f"{self.lines / self.seconds:8.2f} lines/s {self.tokens / self.seconds:8.1f} tokens/s "
            f"{self.tokens / self.lines:8.1f} tokens a line   ({self.steps} steps in {self.seconds:.0f} s)"
        )


class Turns:
    """`show` and `stop` of our run: once its `seconds` are over, `copied` steps for as long."""

    def __init__(self, copied: Callable[[], Read], seconds: float, rounds: int) -> None:
        self.ours, self.theirs = Tally(), Tally()
        self._copied, self._seconds, self._rounds = copied, seconds, rounds
        self._tokens, self._before, self._resumed, self._finished = 0, 0, 0.0, 0

    def show(self, record: Record) -> None:
        """Note the tokens read, and say where a validation fell into the measured time."""
        if record["kind"] == "train":
            self._tokens = record["tokens"]
        elif record["kind"] == "validation" and self.ours.seconds:
            say("a validation fell into our time: take fewer or shorter rounds")

    def stop(self) -> bool:
        """Count our step, let the copied recipe have its turn where it is due, and say whether all is done."""
        if not self._resumed:  # the first step of each warms up and is not counted
            self._before = self._tokens
            self._copied()
        else:
            self.ours.seconds += time.perf_counter() - self._resumed
            self.ours.steps += 1
            self.ours.tokens = self._tokens - self._before
        if self.ours.seconds >= (self._finished + 1) * self._seconds:
            self._their_turn()
            self._finished += 1
        self._resumed = time.perf_counter()
        return self._finished == self._rounds

    def _their_turn(self) -> None:
        until = (self._finished + 1) * self._seconds
        while self.theirs.seconds < until:
            began = time.perf_counter()
            read = self._copied()
            self.theirs.seconds += time.perf_counter() - began
            self.theirs.steps += 1
            self.theirs.tokens += read.tokens
            self.theirs.lines += read.lines
