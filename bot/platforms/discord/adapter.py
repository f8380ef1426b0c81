"""One connection to Discord, from the login to the stop."""

import asyncio

import aiohttp
import discord

from bot.platforms.discord.client import DiscordClient
from bot.platforms.errors import PlatformError, UnreachableError
from bot.replier import Replier

REFUSED = (
    "Discord does not accept this token: reset it at https://discord.com/developers/applications (Bot, Reset Token) "
    "and set it as DISCORD_TOKEN."
)
UNREACHABLE = "Discord cannot be reached: check the network."
START_SECONDS, REPLIES_GRACE = 30.0, 5.0  # the second leaves time to close within the ten of a shutdown
BAD_LOGIN = 4004  # Discord's close code for a token that was good and is no more


class DiscordPlatform:
    """One bot account, connected until told to stop."""

    def __init__(self, token: str, replier: Replier) -> None:
        self._token = token
        self._replier = replier

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set; raises PlatformError where the token or the network is bad."""
        async with DiscordClient(self._replier) as client:
            serving, stopping = asyncio.create_task(self._serve(client)), asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
                await client.drain(REPLIES_GRACE)
            finally:
                await client.close()
                for task in (serving, stopping):
                    task.cancel()
                await asyncio.gather(serving, stopping, return_exceptions=True)

    async def _serve(self, client: DiscordClient) -> None:
        await self._log_in(client)
        try:
            await client.connect()  # once it was there, it comes back by itself whenever the network does
        except discord.ConnectionClosed as error:
            ended = f"Discord ended the connection for good (code {error.code})."
            raise PlatformError(REFUSED if error.code == BAD_LOGIN else ended) from None
        except AttributeError:  # the library's, where it never got through: it looks for where it was
            if client.ws is not None:
                raise
            raise UnreachableError(UNREACHABLE) from None

    async def _log_in(self, client: DiscordClient) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                await client.login(self._token)
        except (discord.LoginFailure, ValueError):  # aiohttp's ValueError quotes a token that no header can hold
            raise PlatformError(REFUSED) from None
        except (discord.HTTPException, aiohttp.ClientError, OSError):  # a timeout is an OSError
            raise UnreachableError(UNREACHABLE) from None
