"""Deadlines that bound, and seconds that are written down."""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

_T = TypeVar("_T")
Seconds = dict[str, float]


async def until(deadline: float | None, work: Coroutine[Any, Any, _T]) -> _T:
    """Wait for `work` until a moment of `time.monotonic()`; raises TimeoutError behind it."""
    async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
        return await work


@contextmanager
def timed(seconds: Seconds, step: str) -> Iterator[None]:
    """Add the seconds spent inside to those of `step`."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - began
