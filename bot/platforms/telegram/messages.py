"""What comes from Telegram: which messages are for us, what they say and where they belong."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

from telegram import ChatMember, Message, MessageEntity, Update, User
from telegram.constants import ChatType
from telegram.ext import filters

from bot.platforms.plaintext import without
from bot.replier import Address, Incoming

SPOKEN = (
    filters.UpdateType.MESSAGE
    & (filters.ChatType.PRIVATE | filters.ChatType.GROUPS)
    & (filters.TEXT | filters.CAPTION | filters.ATTACHMENT)
    & ~filters.StatusUpdate.ALL
    & ~filters.VIA_BOT
)


class ByPerson(filters.MessageFilter):
    """Messages of people, none older than what `since` returns.

    Channels and anonymous administrators are no people here: Telegram marks them as bots, and what
    a channel posts into its group by itself as its own.
    """

    def __init__(self, since: Callable[[], datetime]) -> None:
        super().__init__()
        self._since = since

    def filter(self, message: Message) -> bool:
        """Say whether to handle this message."""
        person = message.from_user is not None and not message.from_user.is_bot and message.sender_chat is None
        return person and message.date >= self._since()


class OurCommand(filters.MessageFilter):
    """Commands that can only be meant for us: `/cmd@us`, and `/cmd` in a private chat."""

    def filter(self, message: Message) -> bool:
        """Say whether to handle this message, which starts with a command."""
        target = message.parse_entity(message.entities[0]).partition("@")[2]
        private = message.chat.type == ChatType.PRIVATE
        return target.casefold() == message.get_bot().username.casefold() or (private and not target)


def addressed_text(message: Message, me: User) -> str | None:
    """Return what a message says to us, our mention cut out; None where it is not for us.

    In private chats everything is for us, in groups a mention and a reply to us. A message without
    words, a sticker say, is an empty text.
    """
    entities = message.parse_entities() if message.text else message.parse_caption_entities()
    mentions = [(one.offset, one.length) for one, shown in entities.items() if _is_mention(one, shown, me)]
    replied = message.reply_to_message
    replied_to_us = replied is not None and replied.from_user is not None and replied.from_user.id == me.id
    if message.chat.type != ChatType.PRIVATE and not mentions and not replied_to_us:
        return None
    return without(message.text or message.caption or "", mentions)


def message_of(update: Update) -> Message:
    """Return the new message that our filters have found in an update."""
    return cast(Message, update.message)


def address_of(message: Message) -> Address:
    """Return the conversation a message belongs to; a thread of replies is none of its own, a topic is."""
    thread = str(message.message_thread_id) if message.is_topic_message else "0"
    return Address("telegram", str(message.get_bot().id), str(message.chat.id), thread)


def incoming(message: Message, text: str) -> Incoming:
    """Return a person's message with `text` as what it says."""
    author = cast(User, message.from_user)  # ByPerson has seen to it
    message_id, author_id = str(message.message_id), str(author.id)
    return Incoming(address_of(message), message_id, author_id, author.full_name, text, message.date)


async def by_administrator(message: Message) -> bool:
    """Say whether a person's message comes from an administrator of its group; a private chat is its person's.

    Raises TelegramError.
    """
    if message.chat.type == ChatType.PRIVATE:
        return True
    member = await message.chat.get_member(cast(User, message.from_user).id)
    return member.status in (ChatMember.OWNER, ChatMember.ADMINISTRATOR)


def _is_mention(entity: MessageEntity, shown: str, me: User) -> bool:
    if entity.type == MessageEntity.TEXT_MENTION:
        return entity.user is not None and entity.user.id == me.id
    return entity.type == MessageEntity.MENTION and shown.casefold() == f"@{me.username}".casefold()
