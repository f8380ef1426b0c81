r"""Telegram Desktop's `result.json`: one chat, or all chats of an account.

The layout is that of tdesktop's export_output_json.cpp, which writes invalid JSON at times:
`\x1F` for a control character (its issue 27571), and bare paths behind a custom emoji's
`document_id` (24961). Both are mended where the file cannot be read otherwise.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.imports.chat import (
    BOTS,
    FORWARDED,
    NOT_TALK,
    SERVICE,
    WORDLESS,
    ChatError,
    ChatExport,
    Message,
    well_formed,
)
from training.imports.files import read_json, seconds

_NOT_TALK = {"bot_chat", "private_channel", "public_channel", "saved_messages", "replies", "verification_codes"}
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|.)", re.DOTALL)
_BARE_PATH = re.compile(r'("document_id":\s*)(?![\s"])([^\n]+?)(,?\n)')


def read_telegram(path: Path) -> ChatExport:
    """Read a `result.json`; raises ChatError."""
    export = ChatExport("telegram")
    for number, chat in enumerate(_chats(read_json(path, mended), path), start=1):
        where = f"{path}, chat {number}"
        messages = chat.get("messages")
        if not isinstance(messages, list):
            raise ChatError(f"{where} has no list of messages")
        if chat.get("type") in _NOT_TALK:
            export.dropped[NOT_TALK] += len(messages)
            continue
        kept = list(_kept(messages, export, where))
        export.chats.append(sorted(kept, key=lambda message: message.time))
    return export


def mended(text: str) -> str:
    """Return a `result.json` with Telegram's two kinds of invalid JSON made valid."""
    text = _ESCAPE.sub(lambda found: rf"\u00{found[1]}" if found[1] else found[0], text)
    return _BARE_PATH.sub(r'\1"\2"\3', text)


def _chats(whole: Any, path: Path) -> list[dict[str, Any]]:
    chats: list[Any] = []
    if isinstance(whole, dict):
        tables = [whole.get(part) for part in ("chats", "left_chats")]
        lists = [[whole]] if "messages" in whole else [table.get("list") for table in tables if isinstance(table, dict)]
        chats = [chat for one in lists if isinstance(one, list) for chat in one]
    if not chats or not all(isinstance(chat, dict) for chat in chats):
        raise ChatError(f"{path} is not a Telegram export: it has neither 'messages' nor a list of 'chats'")
    return chats


def _kept(messages: list[Any], export: ChatExport, where: str) -> Iterator[Message]:
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            raise ChatError(f"{where}: entry {number} of its messages is not a message")
        reason, text = _reason(message), _text(message.get("text"))
        if reason or not text.strip():
            export.dropped[reason or WORDLESS] += 1
            continue
        name = message.get("from")
        sender = str(message.get("from_id") or name or "")
        time = seconds(message.get("date_unixtime") or message.get("date"), f"{where}, message {number}")
        export.saw(sender, well_formed(name) if isinstance(name, str) else None)
        yield Message(sender, well_formed(text.strip()), time)


def _reason(message: Mapping[str, Any]) -> str | None:
    """Say why a message is left out, whatever its text."""
    if message.get("type") != "message":
        return SERVICE
    if "forwarded_from" in message:
        return FORWARDED
    return BOTS if "via_bot" in message else None


def _text(parts: Any) -> str:
    """Return the text of a message: a string, or a list of strings and entities such as links."""
    if isinstance(parts, str):
        return parts
    pieces = parts if isinstance(parts, list) else []
    texts = (piece.get("text") if isinstance(piece, dict) else piece for piece in pieces)
    return "".join(text for text in texts if isinstance(text, str))
