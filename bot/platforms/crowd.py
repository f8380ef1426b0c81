"""How many messages of one place may be under way at once, so that a flood in it holds up nobody else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from bot.conversation import Address

MOST = 16  # fewer than a replier takes of one conversation, which tells everybody who is too many

Entry = Literal["answer", "say busy", "leave"]


@dataclass(slots=True)
class _Place:
    under_way: int = 0
    told: bool = False


class Crowd:
    """Counts what is under way in each place, from its arrival until its answer is sent.

    A place is what a platform's limit holds for: a group of Telegram's with all its topics, to which a
    bot may send twenty messages a minute; a channel or thread of Discord's. What waits to be sent
    piles up there even where nothing is left to think about.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._places: dict[Address, _Place] = {}

    def under_way(self, address: Address) -> int:
        """Return how many messages of a place are counted now, those that are left included."""
        place = self._places.get(address)
        return place.under_way if place else 0

    @contextmanager
    def entry(self, address: Address) -> Iterator[Entry]:
        """Count a message for the block, and say what to do with it.

        "say busy" comes once for a flood, which lasts until half of what was let in is answered.
        """
        place = self._places.setdefault(address, _Place())
        full, told = place.under_way >= self._most, place.told
        place.told = told or full
        place.under_way += 1
        try:
            yield "answer" if not full else "leave" if told else "say busy"
        finally:
            place.under_way -= 1
            place.told = place.told and place.under_way > self._most // 2
            if not place.under_way:
                del self._places[address]
