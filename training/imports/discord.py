"""DiscordChatExporter's JSON: one file for each channel, or for each part of one.

The layout is that of its JsonMessageWriter. Mentions are written out already, unless the export
was made with `--markdown false`: then they are looked up here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.imports.chat import BOTS, FORWARDED, SERVICE, TWICE, WORDLESS, ChatError, ChatExport, Message, well_formed
from training.imports.files import read_json, seconds

_TALK = {"Default", "Reply"}
_MARKUP = re.compile(r"<(?:@!?(?P<user>\d+)|@&(?P<role>\d+)|#(?P<channel>\d+)|a?:(?P<emoji>\w+):\d+)>")


def read_discord(paths: Sequence[Path]) -> ChatExport:
    """Read exports, joining those of one channel; raises ChatError."""
    export = ChatExport("discord")
    channels: dict[str, list[Message]] = {}
    seen: set[tuple[str, str]] = set()
    for path in paths:
        whole = read_json(path)
        channel = whole.get("channel") if isinstance(whole, dict) else None
        if not isinstance(channel, dict) or not isinstance(whole.get("messages"), list):
            raise ChatError(f"{path} is not an export of DiscordChatExporter: it has no 'channel' with 'messages'")
        ident = str(channel.get("id", path))
        for number, message in enumerate(whole["messages"], start=1):
            if not isinstance(message, dict) or not isinstance(message.get("author"), dict):
                raise ChatError(f"{path}: message {number} has no author")
            mark = (ident, str(message.get("id", f"{path}:{number}")))
            if mark in seen:
                export.dropped[TWICE] += 1
                continue
            seen.add(mark)
            channels.setdefault(ident, []).extend(_kept(message, export, f"{path}, message {number}"))
    export.chats = [sorted(messages, key=lambda message: message.time) for messages in channels.values()]
    return export


def _kept(message: Mapping[str, Any], export: ChatExport, place: str) -> Iterator[Message]:
    author = message["author"]
    content = message.get("content")
    text = _written_out(content, message).strip() if isinstance(content, str) else ""
    reason = _reason(message)
    if reason or not text:
        export.dropped[reason or (FORWARDED if message.get("forwardedMessage") else WORDLESS)] += 1
        return
    names = _names(author)
    sender = str(author.get("id") or (names[-1] if names else ""))
    export.saw(sender, *names)
    yield Message(sender, well_formed(text), seconds(message.get("timestamp"), place))


def _reason(message: Mapping[str, Any]) -> str | None:
    if message["author"].get("isBot"):
        return BOTS
    return None if message.get("type", "Default") in _TALK else SERVICE


def _names(user: Mapping[str, Any]) -> list[str]:
    """Return a user's names, the one that others see last."""
    names = (user.get("name"), user.get("nickname"))
    return [well_formed(name) for name in names if isinstance(name, str) and name.strip()]


def _written_out(text: str, message: Mapping[str, Any]) -> str:
    """Return `text` with Discord's markup as people see it: `<@17>` becomes @name."""
    mentions = message.get("mentions")
    users = [user for user in mentions if isinstance(user, dict)] if isinstance(mentions, list) else []
    known = {str(user.get("id")): names[-1] for user in users if (names := _names(user))}

    def plain(found: re.Match[str]) -> str:
        if found["user"]:
            return f"@{known.get(found['user'], 'somebody')}"
        if found["emoji"]:
            return f":{found['emoji']}:"
        return "@role" if found["role"] else "#channel"

    return _MARKUP.sub(plain, text)
