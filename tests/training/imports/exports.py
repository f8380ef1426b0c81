"""Small exports in the messengers' own layouts, of our own words."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.imports.chat import ChatExport

LRM, NARROW = "\u200e", "\u202f"
Line = tuple[str, str, str]  # who, what, when ("2023-12-31T21:15:07")


def unix(moment: str) -> float:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


def said(export: ChatExport) -> list[list[tuple[str, str]]]:
    """Who said what, chat by chat, under the names shown last."""
    return [[(export.names[one.sender][-1], one.text) for one in chat] for chat in export.chats]


def telegram_message(who: str | None, what: Any, when: str = "2024-01-01T10:00:00", **more: Any) -> dict[str, Any]:
    fields = {"type": "message", "date": when, "date_unixtime": str(int(unix(when))), "from": who}
    return {"id": 1, **fields, "from_id": f"user{who}", "text": what, "text_entities": []} | more


def telegram_chat(messages: Sequence[dict[str, Any]], kind: str = "personal_chat") -> dict[str, Any]:
    return {"name": "Somebody", "type": kind, "id": 700, "messages": list(messages)}


def write_telegram(path: Path, lines: Iterable[Line]) -> Path:
    messages = [telegram_message(who, what, when) for who, what, when in lines]
    path.write_text(json.dumps(telegram_chat(messages), indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def discord_message(who: str, what: str, when: str = "2024-01-01T10:00:00", **more: Any) -> dict[str, Any]:
    author = {"id": f"id-{who}", "name": who.lower(), "discriminator": "0000", "nickname": who, "isBot": False}
    fields = {"id": f"{who}-{when}-{what}", "type": "Default", "timestamp": f"{when}.123+00:00", "content": what}
    return fields | {"author": author, "attachments": [], "embeds": [], "stickers": [], "mentions": []} | more


def write_discord(path: Path, messages: Sequence[dict[str, Any]], channel: str = "10") -> Path:
    whole = {
        "guild": {"id": "1", "name": "A server"}, "channel": {"id": channel, "type": "GuildTextChat", "name": "talk"},
        "dateRange": {"after": None, "before": None}, "messages": messages, "messageCount": len(messages),
    }  # fmt: skip
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False), encoding="utf-8")
    return path


def write_whatsapp(path: Path, lines: Iterable[Line]) -> Path:
    """Write a German iPhone's layout."""
    written = [f"[{datetime.fromisoformat(when):%d.%m.%y, %H:%M:%S}] {who}: {what}\n" for who, what, when in lines]
    path.write_text(f"[01.01.20, 00:00:00] A group: {LRM}Messages are encrypted.\n" + "".join(written), "utf-8")
    return path


def chatter(conversations: int = 4, turns: int = 4, people: Sequence[str] = ("Ann Smith", "Bo")) -> list[Line]:
    """Talk among people in turn, a day between two conversations."""
    return [
        (people[turn % len(people)], f"line {turn} of talk {day}", f"2024-01-{day + 14:02d}T10:{turn:02d}:00")
        for day in range(conversations)
        for turn in range(turns)
    ]
