"""What every export comes down to: who wrote what and when, and what was left out and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from persona.characters import folded
from persona.harmless import NAME_LENGTH, harmless_name
from training.conversations import DIRECTIONS, SPOKEN_AS

SERVICE = "the messenger's own notices"
WORDLESS = "without words: attachments, stickers, deleted messages"
FORWARDED = "forwarded from somebody else"
BOTS = "written by a bot"
NOT_TALK = "in channels, chats with bots and saved messages"
TWICE = "exported twice"
WITHOUT = "of people who were left out"
DELETED = "Deleted account"
# These mean something else in a corpus or on the command line.
_RESERVED = (DIRECTIONS, *SPOKEN_AS, *SPOKEN_AS.values(), "all")


class ChatError(ValueError):
    """An export that cannot be imported, in one sentence that names file and place and no message's text."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `sender` is whoever wrote it as the messenger tells people apart, `time` Unix seconds."""

    sender: str
    text: str
    time: float


@dataclass
class ChatExport:
    """What was read: chats of messages in order, each sender's names (the one to show last), what was left out."""

    messenger: str
    chats: list[list[Message]] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)

    def saw(self, sender: str, *names: str | None) -> None:
        """Note what a sender is called; a name that was noted before becomes the one to show."""
        known = self.names.setdefault(sender, [])
        for name in filter(None, names):
            if name in known:
                known.remove(name)
            known.append(name)

    def put_in_order(self) -> None:
        """Sort the chats by when they began, and the senders by when each first wrote.

        Numbers and pseudonyms follow this order, so an export made later gives what was there the same.
        """
        self.chats = sorted(filter(None, self.chats), key=lambda chat: chat[0].time)
        wrote = dict.fromkeys(message.sender for chat in self.chats for message in chat)
        self.names = {sender: self.names[sender] for sender in wrote}

    def without(self, unwanted: Iterable[str]) -> None:
        """Leave out everything that the people of these names wrote; raises ChatError where nobody is called so."""
        shown = shown_names(self.names)
        for name in unwanted:
            gone = {
                sender for sender, known in self.names.items() if folded(name) in map(folded, (shown[sender], *known))
            }
            if not gone:
                raise ChatError(f"nobody called {name!r} writes here; these do: {', '.join(shown.values())}")
            for number, chat in enumerate(self.chats):
                self.chats[number] = [message for message in chat if message.sender not in gone]
                self.dropped[WITHOUT] += len(chat) - len(self.chats[number])


def shown_names(names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the one name of each sender that goes into corpus and prompts: short, on one line, nobody else's.

    Whoever has the name of somebody before, or one that means something else, gets a number.
    """
    taken = {folded(name) for name in _RESERVED}
    numbers: dict[str, Iterator[int]] = {}
    shown = {}
    for sender, known in names.items():
        name = wanted = harmless_name(known[-1] if known else DELETED)
        while folded(name) in taken:
            number = next(numbers.setdefault(wanted, count(2)))
            name = f"{wanted[: NAME_LENGTH - 5].strip()} {number}"
        taken.add(folded(name))
        shown[sender] = name
    return shown


def well_formed(text: str) -> str:
    """Return `text` with halves of surrogate pairs, which no encoding can write, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
