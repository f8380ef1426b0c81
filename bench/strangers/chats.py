"""Whole chats: a stranger says one thing after the other, whatever is answered; each reply is judged where it stands.

A file of chats has headings over lists of messages, as many in each; a reply's number is that of its message in the
chats' first messages, then their second ones, and so on, so the characters answer in turn as they do single prompts.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.strangers.sheet import StrangersError
from persona.characters import Persona, friends
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from training.evaluation.pieces import Generated
from training.evaluation.plan import Ask
from training.evaluation.strangers import Prompt

FEWEST = 2


@dataclass(frozen=True, slots=True)
class Chats:
    """What strangers say: `messages` (chats, turns), as many in each chat."""

    messages: tuple[tuple[str, ...], ...]

    @property
    def turns(self) -> int:
        """Return how many messages a chat has."""
        return len(self.messages[0])

    def prompts(self) -> tuple[Prompt, ...]:
        """Return a prompt for each reply, by number: all that the stranger has said, under the turn's own heading."""
        return tuple(
            Prompt(f"message {turn + 1}", " / ".join(chat[: turn + 1]))
            for turn in range(self.turns)
            for chat in self.messages
        )

    def asks(self, turn: int, personas: Sequence[Persona], replies: Mapping[int, Generated]) -> Iterator[Ask]:
        """Yield what is asked at a turn, counted from 0, once the turns before it were answered."""
        for at in range(len(self.messages)):
            persona = personas[at % len(personas)]
            number = turn * len(self.messages) + at
            yield Ask("stranger", number, f"chat {at}", self.conversation(number, persona, replies), persona)

    def conversation(self, number: int, persona: Persona, replies: Mapping[int, Generated]) -> Scene:
        """Return what was said before a reply; a fallback line is not remembered, as the bot does not."""
        turn, at = divmod(number, len(self.messages))
        turns = []
        for before in range(turn + 1):
            turns.append(Turn(GUEST, self.messages[at][before]))
            if before < turn and (text := replies[before * len(self.messages) + at].text):
                turns.append(Turn(persona.name, text))
        return Scene(tuple(turns))

    def shown(self, ask: Ask, replies: Mapping[int, Generated]) -> str:
        """Return what a reader sees before a reply: a line for each turn, the stranger's and the character's."""
        said = self.conversation(ask.number, ask.persona, replies).turns
        return "\n".join(f"{turn.name if turn.name != GUEST else 'Stranger'}: {turn.text}" for turn in said)


def read_chats(file: Path) -> Chats:
    """Read a file of chats; raises StrangersError."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        chats = tuple(_texts(chat) for chats in content.values() for chat in chats)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StrangersError(f"{file} is no list of chats under headings ({type(error).__name__})") from error
    lengths, six = {len(chat) for chat in chats}, len(friends())
    if len(lengths) != 1 or min(lengths) < FEWEST or len(chats) % six or not all(all(chat) for chat in chats):
        raise StrangersError(
            f"{file} must have chats of one length, {FEWEST} messages or more, and as many for each of {six} characters"
        )
    return Chats(chats)


def _texts(chat: object) -> tuple[str, ...]:
    if not isinstance(chat, list):
        raise TypeError("a chat is a list of messages")
    return tuple(text.strip() for text in chat)
