"""Dates as WhatsApp writes them: in the phone's own order, which only the whole file gives away."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from training.imports.chat import ChatError

_MONTHS = 12
_HALVES = {
    **dict.fromkeys(("am", "a", "午前", "上午", "凌晨", "早上", "오전", "ص", "قم", "πμ", "de"), 0),
    **dict.fromkeys(("pm", "p", "午後", "下午", "中午", "晚上", "오후", "م", "بظ", "μμ", "du"), 12),
}
_ORDERS = {"day first": (0, 1, 2), "month first": (1, 0, 2), "year first": (2, 1, 0)}


@dataclass(frozen=True, slots=True)
class Written:
    """A moment as it is written: three numbers of a date, hour, minute, second, and words such as PM."""

    date: tuple[int, int, int]
    time: tuple[int, int, int]
    mark: str
    words: str

    @classmethod
    def of(cls, header: re.Match[str]) -> "Written":
        """Make one of a header's match."""
        first, second, third, hour, minute = (
            int(header[part]) for part in ("first", "second", "third", "hour", "minute")
        )
        words = "".join(char for char in header["before"] + header["after"] if char.isalpha()).casefold()
        return cls((first, second, third), (hour, minute, int(header["seconds"] or 0)), header["mark"], words)


@dataclass(frozen=True, slots=True)
class Clock:
    """How a file's dates are read. `remark` says so, and why."""

    order: str
    remark: str

    @classmethod
    def of(cls, entries: Sequence[tuple[int, Written]], where: str) -> "Clock":
        """Learn the order of day and month from all (line, moment) of a file; raises ChatError."""
        _check_halves(entries, where)
        order, why = _order(entries, where)
        return cls(order, f"Dates are read {order}: {why}.")

    def time(self, written: Written, place: str) -> float:
        """Return Unix seconds, the written time taken for UTC; raises ChatError."""
        day, month, year = (written.date[part] for part in _ORDERS[self.order])
        hour, minute, second = written.time
        half = _HALVES.get(written.words)
        if half is not None and hour <= _MONTHS:
            hour = hour % 12 + half
        try:
            return datetime(
                year if year > 99 else 2000 + year, month, day, hour, minute, second, tzinfo=UTC
            ).timestamp()
        except ValueError as error:
            raise ChatError(f"{place} begins with a date or time that does not exist") from error


def _order(entries: Sequence[tuple[int, Written]], where: str) -> tuple[str, str]:
    dates = [(line, written.date) for line, written in entries]
    if dates[0][1][0] > 99:
        return "year first", "they begin with four figures"
    day_first = next((line for line, date in dates if date[0] > _MONTHS), None)
    month_first = next((line for line, date in dates if date[1] > _MONTHS), None)
    if day_first and month_first:
        raise ChatError(f"{where} mixes orders of day and month: see the dates in lines {day_first} and {month_first}")
    if day_first or month_first:
        return (
            "day first" if day_first else "month first"
        ), f"line {day_first or month_first} can be read no other way"
    backwards = {order: _backwards([date for _, date in dates], order) for order in ("day first", "month first")}
    if len(set(backwards.values())) > 1:
        return min(backwards, key=lambda order: backwards[order]), "the other way round they would run backwards"
    english = entries[0][1].mark == "/" and entries[0][1].words in {"am", "pm"}
    guess = "month first" if english else "day first"
    return guess, "nothing in the file decides it, so this is a guess"


def _backwards(dates: Sequence[tuple[int, int, int]], order: str) -> int:
    days = [tuple(date[part] for part in reversed(_ORDERS[order])) for date in dates]
    return sum(later < earlier for earlier, later in pairwise(days))


def _check_halves(entries: Sequence[tuple[int, Written]], where: str) -> None:
    """Refuse a 12-hour clock whose halves of the day nobody here can read."""
    unknown = {written.words: line for line, written in entries if written.words not in _HALVES}
    if len(unknown) > 1 and all(1 <= written.time[0] <= _MONTHS for _, written in entries):
        line = min(unknown.values())
        raise ChatError(f"{where}, line {line}: the words for morning and afternoon are in a language not known here")
