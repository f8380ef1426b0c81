"""What a run's files say, read once for everything that tells of it.

Whatever is missing or cut by a kill is left out, so that a run that has just begun can be told of, too.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persona.card import Card, CardError, read_card
from training.words import number

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunLog:
    """A run as its folder tells it: `records` are metrics.jsonl's, `card` the best checkpoint's."""

    folder: Path
    records: list[Record] = field(default_factory=list)
    asked: Record = field(default_factory=dict)
    facts: Record = field(default_factory=dict)
    decisions: list[Record] = field(default_factory=list)
    card: Card | None = None

    def of(self, kind: str) -> list[Record]:
        """Return the records of one kind."""
        return [record for record in self.records if record.get("kind") == kind]

    @property
    def validations(self) -> list[Record]:
        """Return the validations that gave a number."""
        return [one for one in self.of("validation") if number(one, "bits_per_byte") is not None]

    @property
    def untouched(self) -> Record | None:
        """Return the validation of the untouched base."""
        return next((one for one in self.validations if one.get("step") == 0), None)

    @property
    def best(self) -> Record | None:
        """Return the validation of the best checkpoint."""
        return next((one for one in reversed(self.validations) if one.get("best")), None)

    @property
    def last(self) -> Record | None:
        """Return the last validation."""
        return self.validations[-1] if self.validations else None

    @property
    def end(self) -> Record | None:
        """Return how the last start ended; None while it runs and where it was killed."""
        turns = [one for one in self.records if one.get("kind") in ("start", "end")]
        return turns[-1] if turns and turns[-1]["kind"] == "end" else None

    @property
    def replies(self) -> list[Record]:
        """Return the sample replies of the best checkpoint."""
        step = (self.best or {}).get("step")
        return [one for one in self.of("reply") if step is not None and one.get("step") == step]

    @property
    def minutes(self) -> float:
        """Return the minutes over all starts."""
        return max((number(one, "minutes") or 0.0 for one in self.records), default=0.0)

    def latest(self, key: str) -> float | None:
        """Return the last number under `key` in the training records."""
        found = (number(one, key) for one in reversed(self.of("train")))
        return next((one for one in found if one is not None), None)


def read_run(folder: Path) -> RunLog:
    """Read the files of a run's folder; raises OSError where they cannot be read."""
    run = _mapping(folder / "run.json")
    asked = run.get("asked", run)
    try:
        card = read_card(folder / "model")
    except CardError:
        card = None
    facts = run.get("facts", {})
    return RunLog(
        folder,
        list(_lines(folder / "metrics.jsonl")),
        asked if isinstance(asked, dict) else {},
        facts if isinstance(facts, dict) else {},
        list(_lines(folder / "decisions.jsonl")),
        card,
    )


def _mapping(path: Path) -> Record:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _lines(path: Path) -> Iterator[Record]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:  # the last line, cut by a kill
                continue
            if isinstance(record, dict):
                yield record
