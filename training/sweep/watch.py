"""A trial's validation curve, followed while it trains: its best point, and when to cut it short."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.report.runlog import read_run
from training.sweep.study import Claim, Study


class Watch:
    """Follows a trial's validation curve and says when the trial should stop.

    `best` is the record with the lowest score, of those behind the untouched base's; `trouble` says what
    went wrong, without a full stop.
    """

    def __init__(self, study: Study, claim: Claim, is_stopped: Callable[[], bool]) -> None:
        self.best: dict[str, Any] = {}
        self.trouble = ""
        self.was_cut = False
        self._study, self._claim, self._is_stopped = study, claim, is_stopped
        self._places = 0
        self._is_hopeless = self._was_stopped = False

    def show(self, record: dict[str, Any]) -> None:
        """Take in a record of the metrics."""
        if record["kind"] == "validation" and record["step"] > 0 and math.isfinite(record["score"]):
            self._places += 1
            # The curve leaves repetition out: one of sixteen replies weighs more than most recipes differ.
            curve = record["bits_per_byte"] - record["persona_gain"]
            self._is_hopeless = self._study.report(self._claim, self._places, curve)
            if not self.best or record["score"] < self.best["score"]:
                self.best = record

    def stop(self) -> bool:
        """Say whether the training should end; it asks after every step."""
        self.was_cut, self._was_stopped = self._is_hopeless, self._is_stopped()
        return self.was_cut or self._was_stopped

    def was_interrupted(self, folder: Path) -> bool:
        """Say whether the trial ended since the sweep has to end; a training hears signals by itself."""
        return (self._was_stopped and not self.was_cut) or reason_of_end(folder) == "interrupted"


def reason_of_end(folder: Path) -> str:
    """Return why the run in a folder ended, by its metrics; "" where they do not say."""
    return str((read_run(folder).end or {}).get("reason", ""))
