"""Numbers, lists and paths in words, the same in every page that tells of a run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any


def number(record: Mapping[str, Any] | None, key: str) -> float | None:
    """Return a finite number of a record, or None where there is none."""
    value = (record or {}).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def joined(names: Sequence[str], most: int = 3) -> str:
    """Return "a, b and c"; of more than `most` names the first and how many others."""
    if len(names) > most:
        others = len(names) - 1
        return f"{names[0]} and {('two', 'three', 'four', 'five', 'six')[others - 2] if others <= 6 else others} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(count: float, noun: str) -> str:
    """Return "1 start" or "1,082 starts"."""
    return f"{count:,.0f} {noun}{'' if count == 1 else 's'}"


def duration(minutes: float) -> str:
    """Return "89 minutes", or "less than a minute"."""
    return counted(round(minutes), "minute") if minutes >= 1 else "less than a minute"


def signed(value: float, digits: int = 3) -> str:
    """Return a difference with its sign; the minus is a real one."""
    return f"{value:+.{digits}f}".replace("-", "−")


def percent(value: float, of: float) -> str:
    """Return by how many percent `value` differs from `of`, with its sign."""
    return f"{signed(100 * (value / of - 1), 1)} %"


def held_out(split: Mapping[str, Any]) -> list[str]:
    """Return what a card's split holds out, in words; a side is a list of ids or their number."""
    unit, told = str(split.get("unit", "episode")), []
    for side in ("validation", "test"):
        ids = split.get(side, 0)
        count = len(ids) if isinstance(ids, list | tuple) else ids
        if isinstance(count, int) and count:
            told.append(f"{counted(count, unit)} for {side}")
    left_out = split.get("left_out") or {}
    asked = [str(one) for one in left_out.get("asked", ())] if isinstance(left_out, Mapping) else []
    if asked:
        told.append(f"all of {joined(asked)} ({counted(number(left_out, 'scenes') or 0, 'scene')})")
    return told


def nameless(text: str) -> str:
    """Return a name as it is, and of a path of this machine only its last part."""
    if text.startswith(("/", "~", "./", "../", ".\\")) or "\\" in text or text.count("/") > 1:
        return PurePath(text.replace("\\", "/")).name or "a folder"
    return text
