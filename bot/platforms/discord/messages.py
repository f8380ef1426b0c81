"""What is said to the bot, and where."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import discord

from bot.replier import Address

LONGEST = 2000
NOBODY = discord.AllowedMentions.none()
SPOKEN = (discord.MessageType.default, discord.MessageType.reply)
_TAG = re.compile(r"<(?:(?P<kind>@&|@!?|#)(?P<id>\d+)|a?:(?P<emoji>\w+):\d+|/(?P<command>[^<>:]+):\d+)>")
_UNKNOWN = {"@": "@someone", "@&": "@role", "#": "#channel"}


def address_of(channel: Any, me: discord.ClientUser) -> Address:
    """Return the conversation that takes place in `channel`; a thread is one of its own."""
    if isinstance(channel, discord.Thread):
        return Address("discord", str(me.id), str(channel.parent_id), str(channel.id))
    return Address("discord", str(me.id), str(channel.id))


def addressed_text(message: discord.Message, me: discord.ClientUser) -> str | None:
    """Return what is said to the bot, its mention cut; None where the message is not for it.

    Bots, webhooks and system messages are not listened to; @everyone and @here address nobody.
    """
    if message.author.bot or message.webhook_id or message.type not in SPOKEN:
        return None
    role = message.guild.self_role if message.guild else None
    pinged = any(one.id == me.id for one in message.mentions)
    by_role = role is not None and role in message.role_mentions
    if message.guild and not (pinged or by_role or _answers(message, me)):
        return None
    own = [f"@{me.id}", *([f"@&{role.id}"] if role else [])]
    names = {f"@{one.id}": one.display_name for one in message.mentions}
    names |= {f"@&{one.id}": one.name for one in message.role_mentions}
    names |= {f"#{one.id}": one.name for one in message.channel_mentions}
    return readable(message.content, own, names)


def _answers(message: discord.Message, me: discord.ClientUser) -> bool:
    if message.type is not discord.MessageType.reply or message.reference is None:
        return False
    answered = message.reference.resolved
    return isinstance(answered, discord.Message) and answered.author.id == me.id


def hidden(message: discord.Message, me: discord.ClientUser) -> bool:
    """Say whether Discord has kept the words of a message from us, since it does not ping us."""
    return not message.content and message.guild is not None and all(one.id != me.id for one in message.mentions)


def readable(content: str, own: Collection[str], names: Mapping[str, str]) -> str:
    """Return `content` with the tags in `own` cut out and every other tag in words.

    `own` holds what names the bot itself, `names` what the others are called; both under the tag
    without its brackets and without the exclamation mark of the old form: `@1`, `@&2`, `#3`.
    """

    def spelled(tag: re.Match[str]) -> str:
        if tag["emoji"] or tag["command"]:
            return f":{tag['emoji']}:" if tag["emoji"] else f"/{tag['command']}"
        kind = tag["kind"].rstrip("!")
        name = names.get(f"{kind}{tag['id']}")
        return _UNKNOWN[kind] if name is None else f"{kind[0]}{name}"

    return _TAG.sub(spelled, _without(own, content)).strip()


def _without(own: Collection[str], content: str) -> str:
    if not own:
        return content
    tags = "|".join(re.escape(tag).replace("@", "@!?", 1) if tag[1:].isdigit() else re.escape(tag) for tag in own)
    content = re.sub(rf"[ \t]*<(?:{tags})>(?=[ \t]*[,.!?])", "", content)
    return re.sub(r"^[\s,]+", "", re.sub(rf"[ \t]*<(?:{tags})>[ \t]*", " ", content))
