"""How it grows: more conversations at once, and longer histories; numbers for a picture of both."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from bench.serve.parties import Generate, Ours
from bench.serve.sides import Bench, our_engine
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


async def measure(bench: Bench) -> Growth:
    """Measure both series; the histories on a second engine with room for the longest of them."""
    sizes = bench.sizes
    plain = await _plain(bench, sizes.turns, bench.generate)
    conversations = []
    for count in sizes.counts:
        bench.tell(f"Growth: {count} conversations at once.")
        rates = [await _rate(bench, bench.ours, (count, sizes.turns), known) for known in (True, False)]
        conversations.append(Point(count, *rates, plain))
    roomy = replace(bench.place, context=_CONTEXT)
    bench.generate.room = roomy.room(sizes.reply)
    histories = []
    async with our_engine(roomy, sizes) as ours:
        for turns in sizes.histories:
            bench.tell(f"Growth: histories of {turns} turns.")
            rates = [await _rate(bench, ours, (sizes.at_once, turns), known) for known in (True, False)]
            histories.append(Point(turns, *rates, await _plain(bench, turns, bench.generate)))
    bench.generate.room = bench.place.room(sizes.reply)
    return Growth(conversations, histories, sizes.at_once, sizes.turns)


async def _rate(bench: Bench, ours: Ours, shape: tuple[int, int], known: bool) -> float:
    """Return replies a minute for `shape`, conversations at once and turns; the few are asked again and again."""
    count, turns = shape
    rates = []
    for _ in range(max(1, bench.sizes.plain // count)):
        new = bench.talks(count, turns)
        asked = await warmed(ours, new, bench.sizes.reply_before) if known else [talk.turns() for talk in new]
        timed = await at_once(ours, asked, bench.sizes.reply)
        rates.append(timed.a_minute(bench.sizes.reply))
    return statistics.median(rates)


async def _plain(bench: Bench, turns: int, generate: Generate) -> float:
    asked = [talk.turns() for talk in bench.talks(min(_PLAIN, bench.sizes.plain), turns)]
    return (await one_by_one(generate, asked, bench.sizes.reply)).a_minute(bench.sizes.reply)


def rows(growth: Growth) -> list[Row]:
    """Return a row for each point."""
    named = [(f"{point.at} conversations at once", point) for point in growth.conversations]
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
