"""Turn-taking: one at a time within a conversation, in order of arrival; conversations side by side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bot.conversation import Address


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    people: int = 0
    holder: asyncio.Task[object] | None = None


class TurnTaking:
    """A first-come-first-served queue for each conversation, kept only while somebody is in it."""

    def __init__(self) -> None:
        self._queues: dict[Address, _Queue] = {}

    def waiting(self, address: Address) -> int:
        """Return how many wait behind the one whose turn it is."""
        queue = self._queues.get(address)
        return max(0, queue.people - 1) if queue else 0

    @asynccontextmanager
    async def turn(self, address: Address) -> AsyncIterator[None]:
        """Wait for one's turn in this conversation and hold it for the block.

        The place in the queue is taken before anything is awaited. A turn within one's
        own turn is the same one.
        """
        queue, me = self._queues.setdefault(address, _Queue()), asyncio.current_task()
        if me and queue.holder is me:
            yield
            return
        queue.people += 1
        try:
            async with queue.lock:
                queue.holder = me
                try:
                    yield
                finally:
                    queue.holder = None
        finally:
            queue.people -= 1
            if not queue.people:
                del self._queues[address]
