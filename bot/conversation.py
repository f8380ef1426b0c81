"""What every history keeps and how a conversation is named: the seam between replier and history."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol


class HistoryError(RuntimeError):
    """A history that cannot be reached, in one sentence."""


@dataclass(frozen=True, slots=True)
class Address:
    """Which conversation: a chat and its thread ("0" where there is none), as seen by one bot."""

    platform: str
    bot_id: str
    chat: str
    thread: str = "0"

    @property
    def whole_chat(self) -> "Address":
        """The chat without its threads, under which is kept what holds for all of them."""
        return replace(self, thread="0")


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One turn as it is kept. `name` is what the platform showed; `at` is UTC in ISO 8601.

    A persona's turn has no author and no message id (it is stored before it is sent); `answers` is
    the id of the message it answers. `extra` keeps the fields that another version wrote.
    """

    role: Literal["user", "persona"]
    author_id: str
    name: str
    text: str
    message_id: str
    at: str
    persona: str
    model: str | None = None
    answers: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> "StoredTurn | None":
        """Read a turn back, unknown fields in `extra`; None where it is not one."""
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields and name != "extra"}
        texts = ("author_id", "name", "text", "message_id", "at", "persona")
        if fields.get("role") not in ("user", "persona") or not all(isinstance(fields.get(one), str) for one in texts):
            return None
        return replace(cls(**known), extra={name: value for name, value in fields.items() if name not in known})

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields, `extra` among them."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "extra"}
        return {**self.extra, **own}


class ConversationHistory(Protocol):
    """What the replier asks of a history. Every method raises HistoryError where it cannot be reached."""

    async def recent(self, address: Address, persona_id: str, limit: int) -> list[StoredTurn]:
        """Return the last `limit` turns of this persona in this conversation, oldest first."""
        ...

    async def append(self, address: Address, persona_id: str, *turns: StoredTurn) -> None:
        """Add turns; the conversation's time to live starts anew."""
        ...

    async def first_time(self, address: Address, message_id: str) -> bool:
        """Say whether this message has not been seen before, and remember it."""
        ...

    async def persona(self, address: Address) -> str | None:
        """Return the id of the persona chosen for this conversation."""
        ...

    async def choose(self, address: Address, persona_id: str) -> None:
        """Choose the persona of this conversation."""
        ...

    async def filter_level(self, address: Address) -> str | None:
        """Return the level of the filter chosen for this chat; all its threads share it."""
        ...

    async def set_filter_level(self, address: Address, level: str) -> None:
        """Choose the level of this chat's filter."""
        ...

    async def reset(self, address: Address) -> None:
        """Empty this conversation for every persona; the chosen persona and the filter stay."""
        ...

    async def forget(self, platform: str, bot_id: str, author_id: str) -> int:
        """Drop the author's turns and the answers to them in all conversations; return how many turns went."""
        ...

    async def migrate(self, old: Address, new: Address) -> None:
        """Move a chat with all its threads to another chat id of the same bot."""
        ...

    async def aclose(self) -> None:
        """Let go of what is held open."""
        ...


def without_author(turns: list[StoredTurn | None], author_id: str) -> list[bool]:
    """Say turn by turn whether it is the author's or an answer to him, and so has to go.

    Message ids are only unique within a chat and a migrated chat counts anew, so an answer belongs
    to the nearest message of that id before it.
    """
    going: list[bool] = []
    his: set[str] = set()
    for turn in turns:
        if turn is None or turn.role == "persona":
            going.append(turn is not None and turn.answers in his)
            continue
        going.append(turn.author_id == author_id)
        if going[-1]:
            his.add(turn.message_id)
        else:
            his.discard(turn.message_id)
    return going
