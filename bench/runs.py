"""Real runs of `echochamber train` for the comparisons: started, gone on with, or left alone where they are done."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.report.runlog import RunLog, read_run

COMPLETE = ("minutes", "steps", "early stopping")


@dataclass(frozen=True, slots=True)
class Planned:
    """A run: its folder, the minutes it may take in all, and its other options."""

    folder: Path
    minutes: float
    options: tuple[str, ...]

    @property
    def model(self) -> Path:
        """Return the folder of its best checkpoint."""
        return self.folder / "model"

    def is_done(self) -> bool:
        """Say whether the run came to its end."""
        end = read_run(self.folder).end
        return end is not None and end["reason"] in COMPLETE

    def command(self) -> list[str]:
        """Return the words behind `echochamber` that start it, or go on with what it has left."""
        words = ["train", *self.options, "--out", str(self.folder)]
        words += ["--resume"] if (self.folder / "run.json").is_file() else []
        begun = bool(read_run(self.folder).of("start"))
        return words if begun else [*words, "--max-minutes", f"{self.minutes:g}"]


def carry_out(runs: Iterable[Planned], threads: int) -> None:
    """Do one run after the other on so many threads; what is done is skipped, what was begun gone on with.

    Ends the program with a sentence where a run failed or was interrupted.
    """
    for run in runs:
        if run.is_done():
            say(f"{run.folder}: done")
            continue
        words = run.command()
        say(f"$ OMP_NUM_THREADS={threads} echochamber {shlex.join(words)}")
        if _status([sys.executable, "-m", "echochamber", *words], threads):
            raise SystemExit(f"the run in {run.folder} failed")
        if not run.is_done():
            raise SystemExit(f"the run in {run.folder} was interrupted; the same command goes on")
        # Nothing goes on from here, and the states of a full model are several times its size.
        shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)


def spent(log: RunLog) -> dict[str, Any]:
    """Return what a run cost and chose: minutes, steps, tokens by corpus, and the step that ships."""
    tokens: dict[str, int] = {}
    before = 0
    for one in log.of("train"):
        tokens[one["corpus"]] = tokens.get(one["corpus"], 0) + one["tokens"] - before
        before = one["tokens"]
    end = log.end or {}
    best = (log.best or {}).get("step")
    return {
        "minutes": round(log.minutes, 2),
        "steps": end.get("step"),
        "ended": end.get("reason"),
        "shipped_step": best,
        "tokens": tokens,
    }


def describe(name: str, cost: dict[str, Any]) -> str:
    """Return a run's cost as a sentence."""
    read = ", ".join(f"{count:,} of {corpus}" for corpus, count in cost["tokens"].items())
    return (
        f"{name}: {cost['minutes']:.1f} minutes, {cost['steps']} steps, tokens read: {read}; "
        f"step {cost['shipped_step']} was the best."
    )


def say(sentence: str) -> None:
    """Print a line at once."""
    print(sentence, flush=True)


def _status(command: Sequence[str], threads: int) -> int:
    """Run a command and hand signals on to it, so that it can save and leave; return its exit status."""
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}) as process:

        def hand_on(number: int, frame: object) -> None:
            process.send_signal(number)

        before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
