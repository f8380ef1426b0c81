"""`echochamber corpus import`: a messenger's export in, a corpus folder out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona.dialogue import Scene, Turn
from persona.lines import merge_runs
from training.conversations import said
from training.corpus import CorpusError
from training.imports.chat import ChatError, ChatExport, Message, shown_names
from training.imports.conversations import SILENCE_HOURS, Conversation, conversations
from training.imports.folder import check_is_new, write_folder
from training.imports.pseudonyms import Pseudonyms
from training.imports.sources import AUTO, read_export
from training.split import split_by_episode
from training.words import counted


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be imported, and how. `silence` is in hours; nothing of `without`'s people is kept."""

    source: Path
    folder: Path
    messenger: str = AUTO
    pseudonyms: bool = False
    silence: float = SILENCE_HOURS
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written: lines of each speaker, most first, and what was left out, by reason.

    `talks` counts the conversations of two people or more, which alone teach anything. `key` gives
    the pseudonym of each real name; it is for the eyes of whoever imports, and in no file.
    """

    messenger: str
    folder: Path
    conversations: int
    talks: int
    speakers: dict[str, int]
    dropped: dict[str, int]
    remarks: tuple[str, ...]
    key: dict[str, str]

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields without the key."""
        return {
            "messenger": self.messenger,
            "folder": str(self.folder),
            "conversations": self.conversations,
            "conversations_of_two_or_more": self.talks,
            "lines": sum(self.speakers.values()),
            "speakers": self.speakers,
            "left_out": self.dropped,
            "remarks": list(self.remarks),
        }


def import_chat(request: Request) -> Imported:
    """Import an export into a new corpus folder; raises ChatError, and then nothing is written."""
    check_is_new(request.folder)
    export = read_export(request.source, request.messenger)
    export.put_in_order()
    export.without(request.without)
    names = shown_names(export.names)
    key: dict[str, str] = {}
    if request.pseudonyms:
        names, key = _disguise(export, names)
    chats = [conversations(chat, request.silence) for chat in export.chats]
    talks = _talks(chats, names, request)
    write_folder(request.folder, chats, names)
    lines = Counter(names[message.sender] for chat in export.chats for message in chat)
    return Imported(
        messenger=export.messenger,
        folder=request.folder,
        conversations=sum(map(len, chats)),
        talks=talks,
        speakers=dict(lines.most_common()),
        dropped={reason: number for reason, number in export.dropped.most_common() if number},
        remarks=tuple(export.remarks),
        key={name: pseudonym for name, pseudonym in key.items() if pseudonym in lines},
    )


def _disguise(export: ChatExport, shown: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Put pseudonyms into all texts; return each sender's pseudonym, and the key from names to pseudonyms."""
    pseudonyms = Pseudonyms(export.names)
    export.chats = [
        [Message(message.sender, pseudonyms.disguised(message.text), message.time) for message in chat]
        for chat in export.chats
    ]
    return pseudonyms.of, {shown[sender]: pseudonym for sender, pseudonym in pseudonyms.of.items()}


def _talks(chats: Sequence[Sequence[Conversation]], names: dict[str, str], request: Request) -> int:
    """Count the conversations that training will read; raises ChatError where they are too few to split."""
    scenes: list[Scene] = []
    for conversation in (one for chat in chats for one in chat):
        turns = tuple(Turn(names[message.sender], said(message.text, show=False)) for message in conversation)
        scene = merge_runs(Scene(turns, episode=f"{len(scenes)}"))
        scenes += [scene] if len(scene.turns) > 1 else []
    try:
        split_by_episode(scenes)
    except CorpusError as error:
        raise ChatError(
            f"{request.source} holds {counted(len(scenes), 'conversation')} between two people or more, and training "
            f"needs 3, to hold some out: a --silence shorter than {request.silence:g} hours parts it into more"
        ) from error
    return len(scenes)
