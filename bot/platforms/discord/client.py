"""discord.py's client with our events: every handler is a few lines between a message and the replier."""

import asyncio
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast
from weakref import WeakValueDictionary

import aiohttp
import discord
from discord import app_commands

from bot import logs
from bot.platforms.crowd import Crowd
from bot.platforms.discord.commands import COMMANDS, command_failed
from bot.platforms.discord.messages import LONGEST, NOBODY, address_of, addressed_text, hidden
from bot.platforms.discord.sending import deliver
from bot.platforms.pieces import pieces
from bot.replier import BUSY, Address, Incoming, Replier

HIDDEN = "Discord hides the words of this message from me: mention me, or leave the ping of your reply on."
TYPING_SECONDS = 8.0  # Discord shows the indicator for ten

# We only write: that the libraries for voice are missing is nobody's concern.
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False

_log = logs.logger("platforms.discord")


class DiscordClient(discord.Client):
    """discord.py's client with our events and commands; knows who is addressed, not what to say."""

    def __init__(self, replier: Replier) -> None:
        intents = discord.Intents(guilds=True, messages=True)
        super().__init__(intents=intents, allowed_mentions=NOBODY, max_messages=None)
        self.replier = replier
        self.tree = app_commands.CommandTree(self)
        self.tree.error(command_failed)
        for command in COMMANDS:
            self.tree.add_command(command)
        self._in_hand: set[asyncio.Task[Any]] = set()
        self._sending: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._crowd = Crowd()
        self._syncing: asyncio.Task[None] | None = None
        self._stopping = False

    async def setup_hook(self) -> None:
        """Register the commands beside the login: Discord may let us wait, and mentions need none."""
        self._syncing = asyncio.create_task(self._sync())

    async def close(self) -> None:
        """Close the connection, and give up registering the commands."""
        if self._syncing:
            self._syncing.cancel()
        await super().close()

    async def _sync(self) -> None:
        try:
            await self.tree.sync()
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            _log.warning("discord commands could not be registered", error=type(error).__name__)

    async def on_ready(self) -> None:
        """Say in the log that the bot is there; comes again after a reconnect."""
        _log.info("discord is listening")

    async def on_message(self, message: discord.Message) -> None:
        """Answer a message that is addressed to the bot."""
        text = addressed_text(message, self.me)
        if text is None or self._stopping:
            return
        with self.handling(), self._crowd.entry(self.address(message.channel)) as entry:
            if entry == "answer":
                await self._answer(message, text)
            elif entry == "say busy":
                await self._say(message, BUSY)

    async def _answer(self, message: discord.Message, text: str) -> None:
        if hidden(message, self.me):
            await self._say(message, HIDDEN)
            return
        with _typing(message.channel):
            reply = await self.replier.reply(self._incoming(message, text))  # nothing awaited before: order
        if reply is not None:
            await self._say(message, reply.text)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """Log what went wrong without a word of the message."""
        _log.error("discord event could not be answered", at=event_method, error=type(sys.exception()).__name__)

    @property
    def me(self) -> discord.ClientUser:
        """The bot's own user, known from the login on."""
        return cast(discord.ClientUser, self.user)

    def address(self, channel: Any) -> Address:
        """Return the conversation that takes place in `channel`."""
        return address_of(channel, self.me)

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Count the current task among those that `drain` waits for."""
        task = cast(asyncio.Task[Any], asyncio.current_task())
        self._in_hand.add(task)
        try:
            yield
        finally:
            self._in_hand.discard(task)

    async def drain(self, grace: float) -> None:
        """Take nothing new, and give what is in hand `grace` seconds before it is given up."""
        self._stopping = True
        if self._in_hand:
            _, late = await asyncio.wait(self._in_hand, timeout=grace)
            for task in late:
                task.cancel()

    def _incoming(self, message: discord.Message, text: str) -> Incoming:
        author, address = message.author, self.address(message.channel)
        return Incoming(address, str(message.id), str(author.id), author.display_name, text, message.created_at)

    async def _say(self, message: discord.Message, text: str) -> None:
        sending = self._sending.setdefault(message.channel.id, asyncio.Lock())
        async with sending:  # replies leave in the order in which they were made, pieces together
            first, *others = pieces(text, LONGEST)
            answered = message.to_reference(fail_if_not_exists=False)
            await deliver(message.channel.send, first, nonce=secrets.randbits(63), reference=answered)
            for piece in others:
                await deliver(message.channel.send, piece, nonce=secrets.randbits(63))


@contextmanager
def _typing(channel: discord.abc.Messageable) -> Iterator[None]:
    task = asyncio.create_task(_keep_typing(channel))
    try:
        yield
    finally:
        task.cancel()


async def _keep_typing(channel: discord.abc.Messageable) -> None:
    with suppress(discord.DiscordException, aiohttp.ClientError, OSError):  # never stops a reply
        while True:
            await channel.typing()
            await asyncio.sleep(TYPING_SECONDS)
