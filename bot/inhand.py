"""Work in hand that can be given up from outside, without cancelling whoever waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class GivenUpError(Exception):
    """The work one waited for was given up."""


class InHand:
    """The pieces of work being done; `len` counts them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work; cancelling the caller cancels it. Raises GivenUpError."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller and caller.cancelling():
                raise
            raise GivenUpError from None
        finally:
            self._tasks.discard(task)

    async def finish(self, grace: float = 0.0) -> None:
        """Wait `grace` seconds for what is in hand, then give up the rest."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
