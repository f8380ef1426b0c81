"""Where evaluations are kept: by plan and by model, so that one is gone on with and others stand beside it.

CACHE/evaluations/PLAN/MODEL/pieces.jsonl   what was computed, piece by piece
CACHE/evaluations/PLAN/MODEL/result.json    the measures, once all of it is there
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.engine.bases import sha256_of
from bot.engine.chooser import ChooserOptions
from persona.card import Card
from persona.copied import FILE_NAME as COPIED
from training.evaluation.figures import Measure, from_mapping, to_mapping
from training.evaluation.pieces import Ledger
from training.evaluation.plan import Plan
from training.locks import taken
from training.runfolder import replace_text

_FILES = ("adapter_model.safetensors", "model.safetensors", COPIED)
_VERSION = 1  # raise it when the same plan would be computed otherwise


class StoreError(RuntimeError):
    """An evaluation that cannot be kept or gone on with, in one sentence."""


@dataclass(frozen=True, slots=True)
class Result:
    """The measures of one model under one plan, and `when` they were complete, in seconds since 1970."""

    name: str
    title: str
    when: float
    measures: tuple[Measure, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields."""
        return {"name": self.name, "title": self.title, "when": self.when, "measures": to_mapping(self.measures)}

    @classmethod
    def from_mapping(cls, fields: dict[str, Any]) -> "Result":
        """Build it back; raises KeyError, TypeError or AttributeError for something else."""
        return cls(fields["name"], fields["title"], fields["when"], from_mapping(fields["measures"]))


@dataclass(frozen=True, slots=True)
class Record:
    """The folder of one model's evaluation under one plan."""

    folder: Path

    @property
    def pieces(self) -> Path:
        """Return the file of the pieces."""
        return self.folder / "pieces.jsonl"

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Give the pieces, to be added to by this process alone; raises StoreError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = taken(self.folder / ".lock")
            if lock is None:
                raise StoreError("another process is measuring the same model: wait for it")
            with lock:
                yield Ledger(self.pieces)
        except OSError as error:
            raise StoreError(f"cannot write into {self.folder}: {error.strerror or error}") from error

    def write(self, result: Result) -> None:
        """Keep the result; raises StoreError."""
        try:
            replace_text(self.folder / "result.json", json.dumps(result.to_mapping(), indent=1) + "\n")
        except OSError as error:
            raise StoreError(f"cannot write into {self.folder}: {error.strerror or error}") from error

    def read(self) -> Result | None:
        """Return the result, None where there is none that this version understands."""
        try:
            return Result.from_mapping(json.loads((self.folder / "result.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Store:
    """All evaluations under one plan."""

    folder: Path

    @classmethod
    def of(cls, cache: Path, plan: Plan, *about: object) -> "Store":
        """Return the store of a plan; `about` is what else decides the pieces (a corpus's checksum, a seed)."""
        digest = hashlib.sha256(json.dumps([_VERSION, *map(str, about)]).encode())
        for one in (*plan.lines, *plan.asks):
            digest.update(repr(one).encode("utf-8", "surrogatepass"))
        return cls(cache / "evaluations" / digest.hexdigest()[:16])

    def record(self, model: str) -> Record:
        """Return the record of a model by its id."""
        return Record(self.folder / model)

    def latest(self, *but: str) -> Result | None:
        """Return the last result that is there, of any model but those named."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        found = [Record(one).read() for one in folders if one.name not in but]
        return max((one for one in found if one), key=lambda one: one.when, default=None)


def model_id(folder: Path, card: Card, served: str) -> str:
    """Return what tells a checkpoint from others: its files, format, characters, ranking, and how it is `served`."""
    files = [sha256_of(folder / name) for name in _FILES if (folder / name).is_file()]
    kept_back = [[one.name, *one.untrue] for one in card.characters]
    about = [card.base.sha256, *files, card.format, sorted(card.ranking.items()), kept_back, served]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def base_id(card: Card, served: str) -> str:
    """Return what tells a card's untouched base, served likewise, from others."""
    about = [card.base.sha256, served]
    return f"base-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]}"


def served_as(options: ChooserOptions, level: str) -> str:
    """Return how replies are drawn and kept back, as far as it changes which are sent; `level` is the bot's filter."""
    return repr((options.sampling, options.longest, options.candidates, options.attempts, level))
