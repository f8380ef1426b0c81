"""The history of `chat --fresh`: in this process's memory, and stored nowhere."""

from collections import defaultdict
from dataclasses import replace

from bot.conversation import Address, StoredTurn, without_author

LONGEST_HISTORY = 200


class EphemeralHistory:
    """Keeps `bot.conversation.ConversationHistory` until the process ends; nothing ever fails."""

    def __init__(self) -> None:
        self._turns: dict[tuple[Address, str], list[StoredTurn]] = defaultdict(list)
        self._chosen: dict[Address, str] = {}
        self._levels: dict[Address, str] = {}
        self._seen: set[tuple[Address, str]] = set()

    async def recent(self, address: Address, persona_id: str, limit: int) -> list[StoredTurn]:
        """Return the last `limit` turns, oldest first."""
        return self._turns[address, persona_id][-limit:] if limit > 0 else []

    async def append(self, address: Address, persona_id: str, *turns: StoredTurn) -> None:
        """Add turns."""
        kept = self._turns[address, persona_id]
        kept += turns
        del kept[:-LONGEST_HISTORY]

    async def first_time(self, address: Address, message_id: str) -> bool:
        """Say whether this message has not been seen before, and remember it."""
        first = (address, message_id) not in self._seen
        self._seen.add((address, message_id))
        return first

    async def persona(self, address: Address) -> str | None:
        """Return the id of the chosen persona."""
        return self._chosen.get(address)

    async def choose(self, address: Address, persona_id: str) -> None:
        """Choose the persona."""
        self._chosen[address] = persona_id

    async def filter_level(self, address: Address) -> str | None:
        """Return the level of the filter chosen for this chat; all its threads share it."""
        return self._levels.get(address.whole_chat)

    async def set_filter_level(self, address: Address, level: str) -> None:
        """Choose the level of this chat's filter."""
        self._levels[address.whole_chat] = level

    async def reset(self, address: Address) -> None:
        """Drop all personas' histories of this conversation."""
        for key in [key for key in self._turns if key[0] == address]:
            del self._turns[key]

    async def forget(self, platform: str, bot_id: str, author_id: str) -> int:
        """Drop the author's turns and the answers to them in every conversation; return how many went."""
        gone = 0
        for (address, _), turns in self._turns.items():
            if (address.platform, address.bot_id) == (platform, bot_id):
                going = without_author(list(turns), author_id)
                turns[:] = [turn for turn, goes in zip(turns, going, strict=True) if not goes]
                gone += sum(going)
        return gone

    async def migrate(self, old: Address, new: Address) -> None:
        """Move all threads of a chat to another chat id, in front of what the new one already has."""
        if old.chat == new.chat:
            return
        chat = (old.platform, old.bot_id, old.chat)
        for address, persona_id in list(self._turns):
            if (address.platform, address.bot_id, address.chat) == chat:
                moved = self._turns.pop((address, persona_id))
                self._turns[replace(address, chat=new.chat), persona_id][:0] = moved
        for settings in (self._chosen, self._levels):
            for address in list(settings):
                if (address.platform, address.bot_id, address.chat) == chat:
                    settings.setdefault(replace(address, chat=new.chat), settings.pop(address))

    async def aclose(self) -> None:
        """Drop everything."""
        self._turns.clear()
        self._chosen.clear()
        self._levels.clear()
        self._seen.clear()
