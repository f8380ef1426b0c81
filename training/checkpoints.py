"""Training states on the disk: each in a folder of its own, whole or absent, checked before it is used.

A state is written into `.staging`, gets a manifest with the SHA-256 of its files, is forced onto the
disk and only then renamed to `step-00001234`. Kept are the last two, the last of the stable phase,
the best, and as many more as were asked for.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST, PROGRESS, STAGING = "manifest.json", "progress.json", ".staging"
LAST_KEPT = 2


@dataclass(frozen=True, slots=True)
class State:
    """A training state in `folder`, after `step` steps; `is_stable` where the rate had not begun to decay."""

    folder: Path
    step: int
    is_stable: bool

    def progress(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return dict(json.loads((self.folder / PROGRESS).read_text(encoding="utf-8")))


class Checkpoints:
    """The states of a run, oldest first by name; `more` are kept beyond those that are needed."""

    def __init__(self, path: Path, more: int = 0) -> None:
        self.path = path
        self._more = more

    def staging(self) -> Path:
        """Return a new empty folder to save a state into; what an earlier start left is removed."""
        folder = self.path / STAGING
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def publish(self, saved: Path, step: int, progress: Mapping[str, Any], *, is_stable: bool) -> None:
        """Give a saved state its manifest and its name; raises OSError where the disk refuses."""
        (saved / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")
        sums = {file.name: checksum(file) for file in sorted(saved.iterdir()) if file.is_file()}
        manifest = {"step": step, "stable": is_stable, "sha256": sums}
        (saved / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        sync(saved)
        target = self._named(step)
        if target.exists():  # a damaged one, or one from before the run went back to the stable phase
            shutil.rmtree(target)
        saved.rename(target)
        sync_folder(self.path)

    def tidy(self, step: int, best_step: int) -> None:
        """Remove what is not to be kept once `step` is saved: what a run that went back left ahead, too."""
        states = self._states()
        for state in states:
            if state.step > step:
                shutil.rmtree(state.folder, ignore_errors=True)
        behind = [state for state in states if state.step <= step]
        stable = [state.step for state in behind if state.is_stable]
        needed = {*(state.step for state in behind[-LAST_KEPT:]), *stable[-1:], best_step}
        others = [state for state in behind if state.step not in needed]
        for state in others[: max(0, len(others) - self._more)]:
            shutil.rmtree(state.folder, ignore_errors=True)

    def latest(self, tell: Callable[[str], None], *, stable: bool = False) -> State | None:
        """Return the newest whole state, of the stable phase where asked for; says which were damaged."""
        damaged: list[str] = []
        for state in reversed(self._states()):
            wrong = damage(state.folder)
            if wrong:
                damaged.append(f"{state.folder.name} is damaged ({wrong})")
            elif state.is_stable or not stable:
                if damaged:
                    tell(f"The checkpoint {' and '.join(damaged)}: going on from the one before it.")
                return state
        if damaged:
            tell(f"The checkpoint {' and '.join(damaged)}, and there is no whole one before it.")
        return None

    def _states(self) -> list[State]:
        """Return all states by step; one whose manifest cannot be read counts as unstable, and as damaged later."""
        found = []
        for folder in sorted(self.path.glob("step-*")):
            try:
                step, is_stable = step_of(folder), json.loads((folder / MANIFEST).read_text()).get("stable") is True
            except (OSError, ValueError, AttributeError):
                step, is_stable = step_of(folder), False
            found.append(State(folder, step, is_stable))
        return found

    def _named(self, step: int) -> Path:
        return self.path / f"step-{step:08d}"


def step_of(folder: Path) -> int:
    """Return the number of steps in a state's name, -1 where it has none."""
    number = folder.name.removeprefix("step-")
    return int(number) if number.isdecimal() else -1


def damage(folder: Path) -> str:
    """Return what is wrong with a state, "" where every file is what its manifest says."""
    try:
        sums = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        if PROGRESS not in sums:
            return f"{PROGRESS} is missing"
        return next((f"{name} has changed" for name, known in sums.items() if checksum(folder / name) != known), "")
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} cannot be read"


def checksum(file: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sync(folder: Path) -> None:
    """Force a folder's files onto the disk, so that a rename never names what is not there yet."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Force a folder's list of names onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
