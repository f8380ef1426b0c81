"""What a measure returns: figures, each with its interval and what people's own lines come to."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Unit = Literal["", "share", "points"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: `value` with its 95 % interval, and `people`, the same of the true lines of the same contexts.

    `value` is None where it cannot be said, and `note` says why. A "share" is between 0 and 1 and shown in
    percent; "points" are a difference of two shares; "" is a plain number.
    """

    key: str
    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: Unit = ""
    people: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """The figures of one measure, under its name."""

    name: str
    figures: tuple[Figure, ...]


def to_mapping(measures: Iterable[Measure]) -> dict[str, list[dict[str, Any]]]:
    """Return the plain fields, by measure."""
    return {one.name: [asdict(figure) for figure in one.figures] for one in measures}


def from_mapping(table: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[Measure, ...]:
    """Build measures back from their plain fields; raises TypeError for others."""
    return tuple(Measure(name, tuple(Figure(**figure) for figure in figures)) for name, figures in table.items())
