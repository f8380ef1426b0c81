"""A run's folder: what was asked for, what was measured and decided, and the best model, each whole or absent.

run.json         what was asked for at the first start, and the facts that a repetition needs
metrics.jsonl    one JSON object a line, appended
decisions.jsonl  what the clock decided, appended before it took effect
checkpoints/     training states, see training.checkpoints
model/           the best checkpoint so far, ready to talk
evaluation.json  what `echochamber evaluate` found of that model, where it was asked
report.html      what came out, with its pictures beside it
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from training.checkpoints import STAGING, Checkpoints, sync
from training.decisions import FILE_NAME as DECISIONS
from training.decisions import Decision
from training.locks import taken

EVALUATION = "evaluation.json"  # what `echochamber evaluate` found of the model
_OURS = ("model", "metrics.jsonl", "report.html", DECISIONS)


class RunError(RuntimeError):
    """A run that cannot be started or gone on with, in one sentence."""


class RunFolder:
    """The files of one training run; raises RunError where the folder cannot be used.

    Only the process that leads writes: for the others of a team every writing method does nothing.
    """

    def __init__(self, path: Path, *, leads: bool = True, keep_for_average: int = 0) -> None:
        self.path = path
        self.leads = leads
        self.model = path / "model"
        self.states = Checkpoints(path / "checkpoints", keep_for_average)
        self._run, self._metrics, self._decisions = path / "run.json", path / "metrics.jsonl", path / DECISIONS
        self._lock: IO[bytes] | None = None

    def begin(self, asked: dict[str, Any], facts: dict[str, Any], *, resume: bool) -> dict[str, Any]:
        """Create the folder, or check that a resumed run asks for what it was started with.

        Returns the facts of the first start. Nothing that is there is ever overwritten.
        """
        try:
            return self._begin(asked, facts, resume=resume)
        except RunError:
            self.close()
            raise

    def _begin(self, asked: dict[str, Any], facts: dict[str, Any], *, resume: bool) -> dict[str, Any]:
        try:
            self.states.path.mkdir(parents=True, exist_ok=True)
            self._claim()
            if not self._run.is_file():
                self._check_empty()
                replace_text(self._run, json.dumps({"asked": asked, "facts": facts}, indent=2) + "\n")
                return facts
            known = self.read_run()
        except OSError as error:
            raise RunError(f"cannot write into {self.path}: {error.strerror or error}") from error
        if not resume:
            raise RunError(f"{self.path} already holds a run: add --resume to go on with it, or give another --out")
        self.compare(asked)
        return dict(known["facts"])

    def read_run(self) -> dict[str, Any]:
        """Return what run.json holds: `asked` and `facts`."""
        try:
            known = json.loads(self._run.read_text(encoding="utf-8"))
            return {"asked": dict(known["asked"]), "facts": dict(known["facts"])}
        except (OSError, TypeError, ValueError, KeyError) as error:
            raise RunError(f"{self._run} is damaged; give another --out") from error

    def compare(self, asked: dict[str, Any]) -> None:
        """Raise RunError where something else is asked for than at this run's first start."""
        known, asked = self.read_run()["asked"], json.loads(json.dumps(asked))  # tuples as the file has them
        changed = [key for key in [*asked, *known] if known.get(key) != asked.get(key)]
        if changed:
            raise RunError(
                f"the run in {self.path} was started with {changed[0]} = {known.get(changed[0])!r}, not "
                f"{asked.get(changed[0])!r}; ask for the same, or give another --out"
            )

    def close(self) -> None:
        """Let another process use the folder."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def replace_model(self, made: Path) -> None:
        """Put a new best checkpoint in the place of the last."""
        sync(made)
        old = self.path / ".model-before"
        shutil.rmtree(old, ignore_errors=True)
        if self.model.exists():
            self.model.rename(old)
        made.rename(self.model)
        (self.path / EVALUATION).unlink(missing_ok=True)  # it was of the one before
        shutil.rmtree(old, ignore_errors=True)

    def restore_model(self) -> None:
        """Undo a replacement that a kill cut in half, and remove what else it left."""
        old = self.path / ".model-before"
        if old.exists() and not self.model.exists():
            old.rename(self.model)
        for left in (old, self.path / ".model-new", self.states.path / STAGING):
            shutil.rmtree(left, ignore_errors=True)

    def log(self, record: dict[str, Any]) -> None:
        """Append one record to the metrics."""
        self._append(self._metrics, record)

    def log_decision(self, decision: Decision) -> None:
        """Append one decision to its log, forced onto the disk before it takes effect."""
        self._append(self._decisions, decision.to_mapping(), force=True)

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Yield the records logged so far; a line cut by a kill or a full disk is left out."""
        yield from _lines(self._metrics)

    def forget_after(self, step: int, *, but: int, decays: bool) -> float:
        """Drop records of steps that will be trained again; return the minutes that were spent in all.

        A `step` of -1 drops those of every step. What was measured and said at step `but`, the best
        one's, stays. With `decays`, decays that
        were decided on are forgotten, too.
        """
        records = list(self.metrics())
        spent = max((record.get("minutes", 0.0) for record in records), default=0.0)
        _rewrite(self._metrics, [one for one in records if one.get("step", 0) <= step or _stays(one, but)])
        decided = [one for one in _lines(self._decisions) if one.get("step", 0) <= step and one.get("what") != "stop"]
        _rewrite(self._decisions, [one for one in decided if not (decays and one.get("what") == "decay")])
        return float(spent)

    def _append(self, file: Path, record: dict[str, Any], *, force: bool = False) -> None:
        if not self.leads:
            return
        with file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(record) + "\n")
            if force:
                opened.flush()
                os.fsync(opened.fileno())

    def _claim(self) -> None:
        """Hold the folder: the lock goes with the process, however it ends."""
        self._lock = taken(self.path / ".lock")
        if self._lock is None:
            raise RunError(f"another process is training in {self.path}: wait for it, or give another --out")

    def _check_empty(self) -> None:
        if any(self.states.path.iterdir()) or any((self.path / name).exists() for name in _OURS):
            raise RunError(f"{self.path} holds something else than a training run; give another --out")


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _stays(record: dict[str, Any], best_step: int) -> bool:
    """Keep the starts and ends of a run, and what the best model was found to be."""
    of_the_best = record.get("step") == best_step and record.get("kind") in ("validation", "reply")
    return of_the_best or record.get("kind") in ("start", "end", "leaks")


def _rewrite(path: Path, records: list[dict[str, Any]]) -> None:
    replace_text(path, "".join(json.dumps(one) + "\n" for one in records))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # cut by a kill or a full disk, the record behind it glued to it
            if isinstance(record, dict):
                yield record
