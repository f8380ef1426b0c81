"""A run's folder: its state, its checkpoints and its metrics, each whole or absent.

run.json        what was asked for: a resumed run must ask for the same
metrics.jsonl   one JSON object a line, appended
checkpoints/    step-00001234/: the training state, the last two
model/          the best checkpoint so far, ready to talk
loss.png        the picture
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STAGING = ".staging"
KEPT = 2


class RunError(RuntimeError):
    """A run that cannot be started or gone on with, in one sentence."""


class RunFolder:
    """The files of one training run; raises RunError where the folder cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model"
        self.picture = path / "loss.png"
        self.checkpoints = path / "checkpoints"
        self._run, self._metrics = path / "run.json", path / "metrics.jsonl"

    def begin(self, asked: dict[str, Any], *, resume: bool) -> None:
        """Create the folder, or check that a resumed run asks for what it was started with."""
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            if not self._run.is_file():
                ours = (self.model, self.picture, self._metrics)
                if any(self.checkpoints.iterdir()) or any(one.exists() for one in ours):
                    raise RunError(f"{self.path} holds something else than a training run; give another --out")
                replace_text(self._run, json.dumps(asked, indent=2))
                return
            known = dict(json.loads(self._run.read_text(encoding="utf-8")))
        except OSError as error:
            raise RunError(f"cannot write into {self.path}: {error.strerror or error}") from error
        except (TypeError, ValueError) as error:
            raise RunError(f"{self._run} is damaged; give another --out") from error
        if not resume:
            raise RunError(f"{self.path} already holds a run: add --resume to go on with it, or give another --out")
        changed = [key for key in asked if known.get(key) != asked[key]]
        if changed:
            raise RunError(
                f"this run was started with {changed[0]} = {known.get(changed[0])!r}, not {asked[changed[0]]!r}; "
                "go on with the same, or give another --out"
            )

    def latest(self) -> Path | None:
        """Return the newest whole checkpoint; only a whole one ever gets its name."""
        found = sorted(one for one in self.checkpoints.glob("step-*") if (one / "progress.json").is_file())
        return found[-1] if found else None

    def staging(self) -> Path:
        """Return a new empty folder to save a checkpoint into; what an earlier start left is removed."""
        folder = self.checkpoints / STAGING
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def publish(self, saved: Path, step: int) -> None:
        """Give a fully saved checkpoint its name and remove all but the last two."""
        target = self.checkpoints / f"step-{step:08d}"
        if target.exists():
            shutil.rmtree(saved)
        else:
            sync(saved)
            saved.rename(target)
        for old in sorted(self.checkpoints.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def replace_model(self, made: Path) -> None:
        """Put a new best checkpoint in the place of the last."""
        sync(made)
        old = self.path / ".model-before"
        shutil.rmtree(old, ignore_errors=True)
        if self.model.exists():
            self.model.rename(old)
        made.rename(self.model)
        shutil.rmtree(old, ignore_errors=True)

    def restore_model(self) -> None:
        """Undo a replacement that a kill cut in half, and remove what else it left."""
        old = self.path / ".model-before"
        if old.exists() and not self.model.exists():
            old.rename(self.model)
        for left in (old, self.path / ".model-new", self.checkpoints / STAGING):
            shutil.rmtree(left, ignore_errors=True)

    def log(self, record: dict[str, Any]) -> None:
        """Append one record to the metrics."""
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Yield the records logged so far; a last line cut by a kill is left out."""
        if not self._metrics.is_file():
            return
        for line in self._metrics.read_text(encoding="utf-8").splitlines():
            if re.fullmatch(r"\{.*\}", line):
                yield json.loads(line)

    def forget_after(self, step: int) -> float:
        """Drop metrics of steps that will be trained again; return the minutes that were spent in all."""
        records = list(self.metrics())
        spent = max((record.get("minutes", 0.0) for record in records), default=0.0)
        kept = "".join(json.dumps(one) + "\n" for one in records if one.get("step", 0) <= step)
        replace_text(self._metrics, kept)
        return float(spent)


def step_of(checkpoint: Path) -> int:
    """Return the number of steps trained in a checkpoint, from its name."""
    return int(checkpoint.name.removeprefix("step-"))


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def sync(folder: Path) -> None:
    """Force a folder's files onto the disk, so that a rename never names what is not there yet."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
