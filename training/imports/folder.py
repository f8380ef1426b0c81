"""Conversations as a corpus folder in ConvoKit's layout, whole or absent."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.imports.chat import ChatError
from training.imports.conversations import Conversation

_INDEX = {
    "utterances-index": {},
    "speakers-index": {},
    "conversations-index": {},
    "overall-index": {"name": ["<class 'str'>"]},
    "version": 1,
    "vectors": [],
}
_NOTHING: dict[str, Any] = {"meta": {}, "vectors": []}


def check_is_new(folder: Path) -> None:
    """Raise ChatError where anything of that name exists, or where nobody may look."""
    try:
        is_there = folder.exists() or folder.is_symlink()
    except OSError as error:
        raise ChatError(f"cannot write {folder}: {error.strerror or type(error).__name__}") from error
    if is_there:
        raise ChatError(f"{folder} is there already: name another folder in --out, or remove it")


def write_folder(folder: Path, chats: Sequence[Sequence[Conversation]], names: Mapping[str, str]) -> None:
    """Write a corpus of the conversations of each chat, senders under their `names`; raises ChatError.

    It is written beside `folder`, which must not exist, and renamed when it is whole. Only its
    owner can read it.
    """
    check_is_new(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            _write(made, folder.name, list(_utterances(chats, names)))
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise ChatError(f"cannot write {folder}: {error.strerror or type(error).__name__}") from error


def _write(folder: Path, name: str, utterances: Sequence[Mapping[str, Any]]) -> None:
    with (folder / "utterances.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(utterance, ensure_ascii=False) + "\n" for utterance in utterances)
    tables = {
        "conversations": {utterance["conversation_id"]: _NOTHING for utterance in utterances},
        "speakers": {utterance["speaker"]: _NOTHING for utterance in utterances},
        "corpus": {"name": name},
        "index": _INDEX,
    }
    for table, content in tables.items():
        (folder / f"{table}.json").write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def _utterances(chats: Sequence[Sequence[Conversation]], names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield ConvoKit's records; each answers the one before it, and a conversation has its first one's id."""
    for chat, conversations in enumerate(chats, start=1):
        for number, conversation in enumerate(conversations, start=1):
            ids = [f"chat{chat:02d}_c{number:05d}_u{place:04d}" for place in range(1, len(conversation) + 1)]
            for place, message in enumerate(conversation):
                yield {
                    "id": ids[place],
                    "conversation_id": ids[0],
                    "text": message.text,
                    "speaker": names[message.sender],
                    "meta": {},
                    "reply-to": ids[place - 1] if place else None,
                    "timestamp": int(message.time),
                    "vectors": [],
                }
