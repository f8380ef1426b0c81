"""What goes to Discord: quietly, and again where the connection dropped."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from bot.platforms.discord.messages import NOBODY
from bot.platforms.retries import delivery


async def deliver(send: Callable[..., Awaitable[Any]], text: str, **options: Any) -> None:
    """Send a text that pings nobody and shows no preview.

    With a `nonce` Discord takes it once, however often it is sent. Raises what `send` does.
    """
    await delivery(_lost)(send, text, allowed_mentions=NOBODY, suppress_embeds=True, **options)


def _lost(error: BaseException) -> bool:
    """Say whether a message should be sent again: not where Discord has refused it, or is only slow."""
    return isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, TimeoutError)
