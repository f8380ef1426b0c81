"""Results: one row for each question, with the goal it is held against, as Markdown and as JSON."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, ours and the other side, and whether the goal was met; None where there is none.

    `figures` are the numbers behind the texts.
    """

    what: str
    ours: str
    against: str
    ratio: str = ""
    goal: str = ""
    met: bool | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


HEAD = ("what", "ours", "against", "ratio", "goal", "met")
_MET = {True: "yes", False: "**no**", None: ""}


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a table."""
    cells = [[row.what, row.ours, row.against, row.ratio, row.goal, _MET[row.met]] for row in rows]
    lines = [list(HEAD), ["---", "--:", "--:", "--:", "---", "---"], *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as plain objects."""
    return [asdict(row) for row in rows]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the median of some rounds and all of them."""
    return {"median": statistics.median(values), "rounds": list(values)}


def skipped(what: str, why: str) -> Row:
    """Return the row of something that was not measured."""
    return Row(what, "", why)
