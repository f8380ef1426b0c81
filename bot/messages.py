"""What comes in, what goes out, and how to reply: the words that replier and platforms share."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.conversation import Address
from bot.words import DEFAULT_LEVEL, Level
from persona.characters import Persona


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message addressed to the bot, the mention already cut from `text`; `sent_at` is UTC."""

    address: Address
    message_id: str
    author_id: str
    author_name: str
    text: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say. Only a "reply" is stored; a "notice" is about the bot itself."""

    text: str
    persona: Persona
    kind: Literal["reply", "fallback", "greeting", "notice"]


@dataclass(frozen=True, slots=True)
class ReplierOptions:
    """How to reply.

    `seconds` is how long one reply may take, `waiting` how many messages may wait in a
    conversation. With a `seed`, the k-th reply of the process is drawn with `seed + k`. `days` is
    how long the history lives after the last message, None where nothing is stored. `filter` holds
    in chats that have not chosen a level of their own.
    """

    default_persona: str = "joey"
    recent_turns: int = 40
    seconds: float = 60.0
    waiting: int = 16
    seed: int | None = None
    model: str | None = None
    days: int | None = 30
    filter: Level = DEFAULT_LEVEL
