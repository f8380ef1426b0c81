"""What goes to Telegram: replies in their order, and the sign that somebody is typing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakValueDictionary

from telegram import InlineKeyboardMarkup, Message
from telegram.constants import ChatAction, MessageLimit
from telegram.error import BadRequest, NetworkError, TelegramError, TimedOut

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
            first, *others = pieces(text, MessageLimit.MAX_TEXT_LENGTH)
            await delivery(_lost)(message.reply_text, first, reply_markup=keyboard)
            for piece in others:
                await delivery(_lost)(message.reply_text, piece, do_quote=False)


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
    return isinstance(error, NetworkError) and not isinstance(error, BadRequest | TimedOut)
