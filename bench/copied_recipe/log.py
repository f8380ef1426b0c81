"""OUT/log.jsonl: a line every 20 steps and at each measurement."""

import json
from pathlib import Path
from typing import Any

from bench.copied_recipe.states import Progress
from training.runfolder import replace_text


class Log:
    """Appends to `file`, and prints."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, progress: Progress, **measured: Any) -> None:
        """Append one line, and print it."""
        record = {
            "step": progress.step,
            "minutes": round(progress.seconds / 60, 3),
            "wall_minutes": round(progress.wall / 60, 3),
            "tokens": progress.tokens,
            "positions": progress.positions,
            "lines": progress.lines,
            "loss": progress.loss,
        }
        line = json.dumps(record | measured)
        print(line, flush=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def forget_after(self, step: int, *, but: int) -> None:
        """Drop the lines of steps that will be done again; what was measured at step `but`, the best one's, stays."""
        if not self._file.is_file():
            return
        whole = [one for one in self._file.read_text(encoding="utf-8").splitlines(keepends=True) if one.endswith("\n")]
        records = [(json.loads(one), one) for one in whole]
        kept = [
            line
            for record, line in records
            if record["step"] <= step or ("bits_per_byte" in record and record["step"] == but)
        ]
        replace_text(self._file, "".join(kept))
