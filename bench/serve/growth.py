"""How it grows: more conversations at once, and longer histories; numbers for a picture of both."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from bench.serve.sides import Asked, Bench, both_sides
from bench.serve.table import Row
from bench.serve.workload import at_once, one_by_one, warmed

_PLAIN, _CONTEXT = 3, 1024


@dataclass(frozen=True, slots=True)
class Point:
    """Replies a minute where `at` conversations are asked at once, or the history has `at` turns."""

    at: int
    warm: float
    cold: float
    generate: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Both series, and how many conversations and turns the other one has."""

    conversations: Sequence[Point]
    histories: Sequence[Point]
    at_once: int
    turns: int


async def conversations(bench: Bench) -> list[Point]:
    """Measure ever more conversations at once."""
    turns = bench.sizes.turns
    plain = await _plain(bench, turns)
    points = []
    for count in bench.sizes.counts:
        bench.asked.tell(f"Growth: {count} at once.")
        warm, cold = [await _rate(bench, count, turns, is_known) for is_known in (True, False)]
        points.append(Point(count, warm, cold, plain))
    return points


async def histories(asked: Asked) -> list[Point]:
    """Measure ever longer histories, on sides of their own with room for the longest."""
    points = []
    async with both_sides(replace(asked, place=replace(asked.place, context=_CONTEXT))) as bench:
        for turns in bench.sizes.histories:
            asked.tell(f"Growth: histories of {turns} turns.")
            warm, cold = [await _rate(bench, bench.sizes.at_once, turns, is_known) for is_known in (True, False)]
            points.append(Point(turns, warm, cold, await _plain(bench, turns)))
    return points


async def _rate(bench: Bench, count: int, turns: int, is_known: bool) -> float:
    """Return replies a minute for `count` conversations at once; few of them are asked several times over."""
    rates = []
    for _ in range(max(1, bench.sizes.plain // count)):
        new = bench.talks(count, turns)
        before = bench.sizes.reply_before
        asked = await warmed(bench.ours, new, before) if is_known else [talk.turns() for talk in new]
        rates.append((await at_once(bench.ours, asked, bench.sizes.reply)).a_minute(bench.sizes.reply))
    return statistics.median(rates)


async def _plain(bench: Bench, turns: int) -> float:
    asked = [talk.turns() for talk in bench.talks(min(_PLAIN, bench.sizes.plain), turns)]
    return (await one_by_one(bench.generate, asked, bench.sizes.reply)).a_minute(bench.sizes.reply)


def rows(growth: Growth) -> list[Row]:
    """Return a row for each point."""
    named = [(f"{point.at} at once", point) for point in growth.conversations]
    named += [(f"{growth.at_once} at once, histories of {point.at} turns", point) for point in growth.histories]
    return [
        Row(
            f"replies a minute, {name}",
            f"warm {point.warm:.0f}, cold {point.cold:.0f}",
            f"{point.generate:.1f} (`generate`)",
            f"{point.warm / point.generate:.1f}, {point.cold / point.generate:.1f}",
            figures=asdict(point),
        )
        for name, point in named
    ]
