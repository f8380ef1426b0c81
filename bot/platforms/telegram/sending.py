"""What goes to Telegram: replies in their order, and the sign that somebody is typing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

from httpx import ConnectTimeout, PoolTimeout
from telegram import InlineKeyboardMarkup, Message
from telegram.constants import ChatAction, MessageLimit
from telegram.error import BadRequest, ChatMigrated, NetworkError, TelegramError, TimedOut

from bot.platforms.pieces import pieces
from bot.platforms.retries import delivery
from bot.platforms.telegram.messages import address_of
from bot.replier import Address

TYPING_SECONDS = 4.0  # Telegram shows the indicator for five


class Sender:
    """Sends replies in the order in which they were made, the pieces of each together."""

    def __init__(self) -> None:
        self._sending: WeakValueDictionary[Address, asyncio.Lock] = WeakValueDictionary()

    async def say(self, message: Message, text: str, keyboard: InlineKeyboardMarkup | None = None) -> None:
        """Answer a message; raises TelegramError."""
        sending = self._sending.setdefault(address_of(message), asyncio.Lock())
        async with sending:
            moved: int | None = None
            for number, piece in enumerate(pieces(text, MessageLimit.MAX_TEXT_LENGTH)):
                markup = None if number else keyboard
                try:
                    if moved is None:
                        await deliver(message.reply_text, piece, do_quote=not number, reply_markup=markup)
                except ChatMigrated as error:  # while the answer was thought of
                    moved = error.new_chat_id
                if moved is not None:
                    await deliver(message.get_bot().send_message, moved, piece, reply_markup=markup)


async def deliver(send: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> None:
    """Call one of the library's methods that send something, again where the connection drops; raises what it does."""
    await delivery(_lost)(send, *args, **options)


@contextmanager
def typing(message: Message) -> Iterator[None]:
    """Show the typing indicator meanwhile; nothing is awaited here, so messages stay in order."""
    task = asyncio.create_task(_keep_typing(message))
    try:
        yield
    finally:
        task.cancel()


async def _keep_typing(message: Message) -> None:
    while True:
        with suppress(TelegramError):
            await message.reply_chat_action(ChatAction.TYPING)
        await asyncio.sleep(TYPING_SECONDS)


def _lost(error: BaseException) -> bool:
    """Say whether a message should be sent again: not where the server refuses it, or is only slow."""
    if isinstance(error, TimedOut):  # the library's for "never sent", too
        return isinstance(error.__cause__, ConnectTimeout | PoolTimeout)
    return isinstance(error, NetworkError) and not isinstance(error, BadRequest)
