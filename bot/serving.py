"""Platforms side by side in one event loop, until they are told to stop."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from bot import logs
from bot.platforms.errors import PlatformError, UnreachableError
from bot.platforms.retries import reaching

CLOSING_SECONDS = 6.5  # for the platforms; an engine that still loads its model takes three more
LEAVING_SECONDS = 3.0  # for replies in hand; the platforms still have time to send them, or a word of goodbye
AGAIN = "Trying again until it answers."

_log = logs.logger("serving")


class Platform(Protocol):
    """A place where people write."""

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set, then finish or give up in time; raises PlatformError.

        After UnreachableError it is called again.
        """
        ...


async def serve(
    platforms: Mapping[str, Platform],
    stop: asyncio.Event,
    loaded: Awaitable[str | None],
    leave: Callable[[float], Awaitable[None]],
) -> int:
    """Run the platforms until `stop` is set; return 1 where none could go on or nobody can answer.

    `loaded` waits for the model and returns what it has to say; raises RuntimeError, with which
    everything stops. `leave` is called once `stop` is set: it has so many seconds for the replies in
    hand, and whoever waits behind them is told then. All that goes wrong is said on stderr in a sentence.
    """
    serving = asyncio.gather(*(_ran(name, platform, stop) for name, platform in platforms.items()))
    stopping, loading = asyncio.create_task(stop.wait()), asyncio.create_task(_loads(loaded, stop))
    leaving = asyncio.create_task(_leaves(leave, stop))
    waits: set[asyncio.Future[Any]] = {serving, stopping}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await asyncio.wait({serving}, timeout=CLOSING_SECONDS)
        ran = not serving.done() or any(serving.result())
        loads = not loading.done() or loading.result()
        return 0 if ran and loads else 1
    finally:
        for task in (serving, stopping, loading, leaving):
            task.cancel()
        await asyncio.gather(serving, stopping, loading, leaving, return_exceptions=True)


@contextmanager
def set_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop`; a second one changes nothing and interrupts nothing."""
    loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    for one in signals:
        loop.add_signal_handler(one, stop.set)
    try:
        yield
    finally:
        for one in signals:
            loop.remove_signal_handler(one)


def say(sentence: str) -> None:
    """Tell the operator."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


async def _ran(name: str, platform: Platform, stop: asyncio.Event) -> bool:
    """Say whether the platform ran until it was told to stop; a network that is away at the start may come."""

    def tell(error: UnreachableError, attempt: int, seconds: float) -> None:
        if attempt == 1:
            say(f"{error} {AGAIN}")
        _log.warning("platform unreachable, trying again", platform=name, seconds=seconds)

    try:
        await reaching(stop, tell)(platform.run, stop)
    except PlatformError as error:
        say(str(error))
    except Exception as error:  # a fault of one platform must not end the other
        _log.exception("platform failed", platform=name)
        say(f"{name} has ended because of a fault in this program ({type(error).__name__}).")
    return stop.is_set()


async def _leaves(leave: Callable[[float], Awaitable[None]], stop: asyncio.Event) -> None:
    await stop.wait()
    await leave(LEAVING_SECONDS)


async def _loads(loaded: Awaitable[str | None], stop: asyncio.Event) -> bool:
    try:
        notice = await loaded
    except RuntimeError as error:
        say(str(error))
        stop.set()
        return False
    if notice:
        say(notice)
    return True
