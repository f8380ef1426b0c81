"""Trying again: to reach a platform, and to send what a lost connection may have swallowed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_exponential_jitter,
)

from bot.platforms.errors import UnreachableError

ATTEMPTS = 4  # over some three seconds; a reply that comes much later answers nobody
PAUSES = wait_exponential(multiplier=5, max=300)  # between attempts to reach a platform, in seconds


def delivery(lost: Callable[[BaseException], bool]) -> AsyncRetrying:
    """Return what calls a sending function again while it raises an error that `lost` says yes to.

    A connection that drops may have delivered all the same: now and then something comes twice,
    which is better than an answer that never comes. One for each call: it keeps count.
    """
    return AsyncRetrying(
        retry=retry_if_exception(lost),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.3, max=3, jitter=0.2),
        reraise=True,
    )


def reaching(stop: asyncio.Event, tell: Callable[[UnreachableError, int, float], None]) -> AsyncRetrying:
    """Return what calls a platform's `run` again while it raises UnreachableError and `stop` is not set.

    `tell` gets the error, the number of the attempt and the seconds until the next one.
    """

    async def pause(seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)

    def before_pause(attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        if isinstance(error, UnreachableError):
            tell(error, attempt.attempt_number, attempt.upcoming_sleep)

    return AsyncRetrying(
        retry=retry_if_exception_type(UnreachableError),
        wait=PAUSES,
        stop=lambda _: stop.is_set(),
        sleep=pause,
        before_sleep=before_pause,
        reraise=True,
    )
