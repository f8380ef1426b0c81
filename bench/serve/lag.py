"""How late the event loop is while the engine's thread is busy: a coroutine sleeps a millisecond, over and over."""

import asyncio
import statistics
import time
from collections.abc import Sequence

from bench.serve.sides import Bench
from bench.serve.table import Row
from bench.serve.workload import at_once, warmed

GOAL, _SLEEP, _QUIET = 0.020, 0.001, 1.0


class Lateness:
    """`async with` it around the work: `late` holds by how many seconds each sleep was too long."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Lateness":
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_SLEEP)
            self.late.append(time.perf_counter() - began - _SLEEP)


async def measure(bench: Bench) -> list[Row]:
    """Watch the loop while conversations are answered, cold and then warm, and once with nothing to do."""
    sizes = bench.sizes
    async with Lateness() as quiet:
        await asyncio.sleep(_QUIET)
    busy: list[float] = []
    for _ in range(bench.asked.rounds):
        async with Lateness() as watched:
            known = await warmed(bench.ours, bench.talks(sizes.at_once), sizes.reply_before)
            await at_once(bench.ours, known, sizes.reply)
        busy += watched.late
    late, idle = percentile(busy), percentile(quiet.late)
    return [
        Row(
            f"event-loop lag, 99th percentile, while {sizes.at_once} generate ({len(busy)} samples)",
            f"{1000 * late:.1f} ms",
            f"{1000 * idle:.1f} ms (nothing to do)",
            "",
            f"under {1000 * GOAL:.0f} ms",
            late < GOAL,
            {"p99": late, "idle_p99": idle, "most": max(busy), "median": statistics.median(busy)},
        )
    ]


def percentile(values: Sequence[float], rank: int = 99) -> float:
    """Return a percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[rank - 1]
