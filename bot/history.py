"""Conversations in Redis: the only module that knows it.

Keys, every part escaped so that a ":" in an id cannot make two conversations one:

    echochamber:v1:{platform}:{bot id}:conversations           sorted set of {chat}:{thread} by expiry
    echochamber:v1:{platform}:{bot id}:{chat}:{thread}:
        history:{persona}     list of turns as JSON, oldest first
        personas              set of the personas that have a history here
        persona               id of the chosen one
        filter                level of the filter; under thread 0 only, for the whole chat
        seen:{message id}     who saw this message first

Everything expires. Every change of more than one key is one script or transaction, and each can be
sent again after a lost connection without happening twice.
"""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from bot import history_scripts as scripts
from bot.conversation import Address, HistoryError, StoredTurn, without_author

__all__ = ["History", "HistoryError", "StoredTurn"]

ROOT = "echochamber:v1"
LONGEST_HISTORY = 200  # turns; far more than fits a prompt
SEEN_SECONDS = 48 * 3600  # Telegram delivers an update again for 24 hours
CONNECTIONS = 32
PATIENCE = 10.0  # seconds for one command, its retries included
PERMISSIONS = f"~{ROOT}:* +@read +@write +@scripting +@transaction +@connection"  # of the user in the address
# What a server says that cannot keep conversations, and what that is to whoever runs the bot.
REFUSALS = {
    r"read only replica|master is down": "is a replica and stores nothing; point REDIS_URL at its primary",
    r"permission|user executing|without multi": "doesn't allow what conversations need ({words}); "
    f"give REDIS_URL's user {PERMISSIONS} by ACL SETUSER",
    r"unknown|syntax error": "doesn't know what conversations need ({words}); "
    "use Redis 6.2 or newer, or Valkey, without renamed commands",
    r"": "can't keep conversations ({words})",
}
NO_ADDRESS = "The Redis address isn't one: it looks like redis://host:6379/0, rediss://... or unix:///path."


class History:
    """Keeps `bot.conversation.ConversationHistory` in Redis."""

    def __init__(self, client: Redis, *, days: int = 30) -> None:
        self._client = client
        self._seconds = days * 24 * 3600
        self._seen_seconds = min(SEEN_SECONDS, self._seconds)
        self._append = client.register_script(scripts.APPEND)
        self._choose = client.register_script(scripts.CHOOSE)
        self._first_time = client.register_script(scripts.FIRST_TIME)
        self._reset = client.register_script(scripts.RESET)
        self._migrate = client.register_script(scripts.MIGRATE)

    @classmethod
    async def connect(cls, url: str, *, days: int = 30) -> "History":
        """Connect to redis://, rediss:// or unix://, and try all that the history will do.

        Raises HistoryError, which says what is missing and never holds the password.
        """
        retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 3)
        kept: dict[str, Any] = {"decode_responses": True, "retry": retry, "max_connections": CONNECTIONS}
        try:
            # A pool that waits: redis-py's own refuses a command where all connections are in use.
            pool = BlockingConnectionPool.from_url(url, **kept, socket_timeout=5, socket_connect_timeout=3)
        except ValueError:
            raise HistoryError(NO_ADDRESS) from None
        client = Redis.from_pool(pool)
        try:
            async with asyncio.timeout(PATIENCE):
                await _try_out(client)
        except TypeError:  # an option behind the "?" that redis-py doesn't know
            await client.aclose()
            raise HistoryError(NO_ADDRESS) from None
        except (RedisError, OSError) as error:
            await client.aclose()
            raise HistoryError(f"Redis at {_shown(url)} {_trouble(error)}.") from None
        return cls(client, days=days)

    async def recent(self, address: Address, persona_id: str, limit: int) -> list[StoredTurn]:
        """Return the last `limit` turns, oldest first; what isn't a turn is left out."""
        if limit < 1:
            return []
        async with _reaching():
            raw = await self._client.lrange(_key(address, "history", persona_id), -limit, -1)
        return [turn for turn in map(_parsed, cast("list[str]", raw)) if turn]

    async def append(self, address: Address, persona_id: str, *turns: StoredTurn) -> None:
        """Add turns and renew the conversation's time to live."""
        index = _index(address.platform, address.bot_id)
        keys = [_key(address, "history", persona_id), _key(address, "personas"), _key(address, "persona"), index]
        keys.append(_key(address.whole_chat, "filter"))
        raw = [json.dumps(turn.to_mapping()) for turn in turns]
        now = int(time.time())
        expiry = now + self._seconds
        async with _reaching():
            await self._append(keys, [expiry, _member(address), _escaped(persona_id), LONGEST_HISTORY, now, *raw])

    async def first_time(self, address: Address, message_id: str) -> bool:
        """Say whether nobody has seen this message before, and remember it."""
        # The token tells our own command, sent again after a lost connection, from another process's.
        async with _reaching():
            return bool(
                await self._first_time([_key(address, "seen", message_id)], [secrets.token_hex(8), self._seen_seconds])
            )

    async def persona(self, address: Address) -> str | None:
        """Return the id of the chosen persona."""
        async with _reaching():
            return cast("str | None", await self._client.get(_key(address, "persona")))

    async def choose(self, address: Address, persona_id: str) -> None:
        """Choose the persona; the choice lives as long as the history."""
        await self._keep(address, "persona", persona_id)

    async def filter_level(self, address: Address) -> str | None:
        """Return the level of the filter chosen for this chat; all its threads share it."""
        async with _reaching():
            return cast("str | None", await self._client.get(_key(address.whole_chat, "filter")))

    async def set_filter_level(self, address: Address, level: str) -> None:
        """Choose the level of this chat's filter; it lives until all the chat's threads have been silent."""
        await self._keep(address.whole_chat, "filter", level)

    async def _keep(self, address: Address, choice: str, value: str) -> None:
        keys, now = [_key(address, choice), _index(address.platform, address.bot_id)], int(time.time())
        async with _reaching():
            await self._choose(keys, [now + self._seconds, _member(address), value, now])

    async def reset(self, address: Address) -> None:
        """Drop all personas' histories of this conversation."""
        async with _reaching():
            await self._reset([_key(address, "personas")], [_key(address, "history", "")])

    async def forget(self, platform: str, bot_id: str, author_id: str) -> int:
        """Drop the author's turns and the answers to them in every conversation; return how many went."""
        async with _reaching():
            members = await self._client.zrange(_index(platform, bot_id), 0, -1)
        gone = 0
        for member in cast("list[str]", members):
            chat, thread = map(unquote, member.split(":"))
            gone += await self._forget_in(Address(platform, bot_id, chat, thread), author_id)
        return gone

    async def _forget_in(self, address: Address, author_id: str) -> int:
        async with _reaching():
            personas = await cast("Awaitable[set[str]]", self._client.smembers(_key(address, "personas")))
        gone = 0
        for persona_id in map(unquote, personas):
            key = _key(address, "history", persona_id)
            async with _reaching(), self._client.pipeline(transaction=True) as changes:
                raw = cast("list[str]", await self._client.lrange(key, 0, -1))
                going = without_author([_parsed(one) for one in raw], author_id)
                # Removed by value and not rewritten: what is appended meanwhile stays.
                for one, goes in zip(raw, going, strict=True):
                    if goes:
                        changes.lrem(key, 0, one)
                gone += sum(cast("list[int]", await changes.execute()))
        return gone

    async def migrate(self, old: Address, new: Address) -> None:
        """Move all threads of a chat to another chat id, in front of what the new one already has."""
        if old.chat == new.chat:
            return
        index = _index(old.platform, old.bot_id)
        root = index.removesuffix("conversations")
        async with _reaching():
            await self._migrate([index], [root, _escaped(old.chat), _escaped(new.chat), LONGEST_HISTORY])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


@asynccontextmanager
async def _reaching() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except (RedisError, OSError) as error:
        raise HistoryError("I can't reach my memory right now. Try again in a moment.") from error


async def _try_out(client: Redis) -> None:
    scratch = f"{ROOT}:start:{secrets.token_hex(8)}"
    keys = [f"{scratch}:{number}" for number in range(5)]
    words = await client.register_script(scripts.TRY)(keys, [int(time.time()) + 60])
    if words:
        raise ResponseError(words)
    async with client.pipeline(transaction=True) as transaction:
        transaction.get(scratch)
        await transaction.execute()


def _trouble(error: Exception) -> str:
    # redis-py wraps what the server says to the greeting in a ConnectionError
    said = error.__cause__ or error
    if isinstance(said, AuthenticationError):
        return "refuses the login"
    if not isinstance(said, ResponseError):
        return "cannot be reached"
    words = str(said).split(", with args")[0].rstrip(".")  # the arguments may hold the password
    return next(what for marks, what in REFUSALS.items() if re.search(marks, words, re.IGNORECASE)).format(words=words)


def _escaped(part: str) -> str:
    return quote(part, safe="")


def _member(address: Address) -> str:
    return f"{_escaped(address.chat)}:{_escaped(address.thread)}"


def _index(platform: str, bot_id: str) -> str:
    return f"{ROOT}:{_escaped(platform)}:{_escaped(bot_id)}:conversations"


def _key(address: Address, *parts: str) -> str:
    owner = f"{ROOT}:{_escaped(address.platform)}:{_escaped(address.bot_id)}"
    return ":".join((owner, _member(address), *map(_escaped, parts)))


def _parsed(raw: str) -> StoredTurn | None:
    try:
        fields: Any = json.loads(raw)
    except ValueError:
        return None
    return StoredTurn.from_mapping(fields) if isinstance(fields, dict) else None


def _shown(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return f"{parts.scheme}://{host}{parts.path}"
