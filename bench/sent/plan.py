"""Who talks with whom about what: everything that a seed decides before the first reply."""

import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, permutations
from pathlib import Path
from typing import TypeVar

MESSAGES = Path(__file__).with_name("messages.toml")
OPENING_KINDS = ("greetings", "small_talk", "food", "work", "feelings", "love", "friendship", "opinions")
SHORTEST, LONGEST = 3, 6
SEEDS_A_TALK = 1000  # more than a conversation has turns
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Message:
    """What a stranger says, and which heading of `messages.toml` it stands under."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation of `turns` replies.

    One id in `speakers` answers the stranger called `stranger`, message by message; two talk to each
    other, the first beginning with the only message, the second giving the first reply.
    """

    number: int
    speakers: tuple[str, ...]
    stranger: str
    messages: tuple[Message, ...]
    turns: int
    seed: int


@dataclass(frozen=True, slots=True)
class Asked:
    """How much is to be said: replies to strangers, and conversations of so many turns among characters."""

    replies: int = 2000
    conversations: int = 50
    turns: int = 10
    seed: int = 0

    @property
    def total(self) -> int:
        """Return the replies in all."""
        return self.replies + self.conversations * self.turns


def read_messages() -> tuple[list[str], list[Message]]:
    """Return the strangers' names and messages, in the order of the file."""
    content = tomllib.loads(MESSAGES.read_text(encoding="utf-8"))
    names = content.pop("names")
    return names, [Message(kind, text) for kind, texts in content.items() for text in texts]


def plan(asked: Asked, ids: Sequence[str]) -> list[Talk]:
    """Return all conversations, in an order that mixes both sorts: what a killed run has is a fair sample."""
    draw = random.Random(asked.seed)
    talks = [*_with_strangers(asked, ids, draw), *_among_themselves(asked, ids, draw)]
    draw.shuffle(talks)
    return [
        Talk(number, *parts, seed=(asked.seed * len(talks) + number) * SEEDS_A_TALK)
        for number, parts in enumerate(talks)
    ]


_Parts = tuple[tuple[str, ...], str, tuple[Message, ...], int]


def _with_strangers(asked: Asked, ids: Sequence[str], draw: random.Random) -> Iterator[_Parts]:
    """Deal the messages: in every other conversation in the order of the file, else from shuffled decks."""
    names, messages = read_messages()
    in_order, shuffled = cycle(messages), _decks(messages, draw)
    strangers = _decks(names, draw)
    left, number = asked.replies, 0
    while left:
        size = min(left, draw.randint(SHORTEST, LONGEST))
        said = tuple(islice(shuffled if number % 2 else in_order, size))
        yield (ids[number % len(ids)],), next(strangers), said, size
        left, number = left - size, number + 1


def _among_themselves(asked: Asked, ids: Sequence[str], draw: random.Random) -> Iterator[_Parts]:
    openings = _decks([one for one in read_messages()[1] if one.kind in OPENING_KINDS], draw)
    for pair in islice(cycle(permutations(ids, 2)), asked.conversations):
        yield pair, "", (next(openings),), asked.turns


def _decks(cards: Sequence[_T], draw: random.Random) -> Iterator[_T]:
    """Yield the cards without end, each once in every deck."""
    while True:
        yield from draw.sample(cards, len(cards))
