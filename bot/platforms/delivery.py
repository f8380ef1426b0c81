"""Sending again what a lost connection may have swallowed."""

from collections.abc import Callable

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

ATTEMPTS = 4  # over some three seconds; a reply that comes much later answers nobody


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
