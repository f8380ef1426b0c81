"""What readers say of the rows of a sheet, checked before anything is counted."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.strangers.sheet import StrangersError

READERS, ENOUGH = 3, 2
_NAMED = 5


class Verdict(NamedTuple):
    """What one reader says of one reply."""

    sensible: bool
    in_character: bool

    @property
    def both(self) -> bool:
        """Say whether it is both."""
        return self.sensible and self.in_character


@dataclass(frozen=True, slots=True)
class Judged:
    """What the readers say of one reply, in their order; nobody says anything of a fallback line, which fails."""

    verdicts: tuple[Verdict, ...] = ()

    @property
    def counts(self) -> bool:
        """Say whether at least two readers find the reply both sensible and in character."""
        return sum(one.both for one in self.verdicts) >= ENOUGH

    @property
    def sensible(self) -> bool:
        """Say whether at least two readers find it sensible."""
        return sum(one.sensible for one in self.verdicts) >= ENOUGH

    @property
    def in_character(self) -> bool:
        """Say whether at least two readers find it in character."""
        return sum(one.in_character for one in self.verdicts) >= ENOUGH


def read_all(files: Sequence[Path], ids: Collection[str]) -> dict[str, Judged]:
    """Return what all readers say, by id; raises StrangersError unless each judges every id exactly once."""
    if len({file.resolve() for file in files}) != READERS:
        raise StrangersError(f"give the verdicts of {READERS} readers, each in a file of its own")
    readers = [read_verdicts(file, ids) for file in files]
    return {one: Judged(tuple(reader[one] for reader in readers)) for one in ids}


def read_verdicts(file: Path, ids: Collection[str]) -> dict[str, Verdict]:
    """Return what one reader says, by id; raises StrangersError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StrangersError(f"cannot read the verdicts {file}: {type(error).__name__}") from error
    found: dict[str, Verdict] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        ident, verdict = _parsed(line, f"{file}, line {number}")
        if ident not in ids:
            raise StrangersError(f"{file}, line {number}: there is no reply {ident!r} on the sheet")
        if ident in found:
            raise StrangersError(f"{file}, line {number}: the reply {ident!r} was judged before")
        found[ident] = verdict
    if missing := sorted(set(ids) - set(found)):
        named = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        raise StrangersError(f"{file} lacks {len(missing)} of {len(ids)} replies: {named}")
    return found


def fleiss_kappa(counts: Sequence[Sequence[int]]) -> float | None:
    """Return how far readers agree beyond chance, from -1 to 1; None where there is but one answer, or nothing.

    `counts` says of each subject how many readers gave each answer, as many readers for all (Fleiss 1971,
    "Measuring nominal scale agreement among many raters").
    """
    if not counts:
        return None
    readers, subjects = sum(counts[0]), len(counts)
    agreed = sum(sum(one * one for one in row) - readers for row in counts) / (subjects * readers * (readers - 1))
    shares = [sum(column) / (subjects * readers) for column in zip(*counts, strict=True)]
    chance = sum(share * share for share in shares)
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def _parsed(line: str, where: str) -> tuple[str, Verdict]:
    try:
        content: Any = json.loads(line)
    except ValueError as error:
        raise StrangersError(f"{where} is not JSON") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("id"), str):
        raise StrangersError(f'{where} must be an object with the text field "id"')
    values = [content.get(key) for key in Verdict._fields]
    wrong = next((key for key, one in zip(Verdict._fields, values, strict=True) if not isinstance(one, bool)), None)
    if wrong:
        raise StrangersError(f'{where}: "{wrong}" must be true or false')
    return content["id"], Verdict(*values)  # type: ignore[arg-type]
