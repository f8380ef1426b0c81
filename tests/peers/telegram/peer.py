"""Start telegram-test-api (npm) behind `server.js`, and be the people who write to the bot."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

FOLDER = Path(__file__).parent


def installed() -> Path:
    """Return the node program, its packages installed as the lock file says.

    Without npm the tests fail where CI=true, and are skipped elsewhere.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        reason = "the Telegram tests need Node.js with npm: https://nodejs.org"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    done = FOLDER / "node_modules" / ".installed"
    if not done.exists() or done.read_text() != lock:  # written last: an interrupted install is done again
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        ran = subprocess.run(command, cwd=FOLDER, check=False, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, f"npm could not install the Telegram test server: {ran.stderr[-500:]}"
        done.write_text(lock)
    return Path(node)


@contextmanager
def telegram_server() -> Iterator[str]:
    """Run the server on a free port of 127.0.0.1 and yield its address."""
    command = [installed(), FOLDER / "server.js"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            assert port, "the Telegram test server did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@dataclass
class Bot:
    """One bot's account on the server: its calls, its failures, and the updates sent to it."""

    http: httpx.AsyncClient
    id: int
    username: str = "TestNameBot"

    @property
    def token(self) -> str:
        return f"{self.id}:TEST"

    async def update(self, **update: Any) -> None:
        """Send an update as it stands, for what the peer's own client cannot say."""
        await self._post("control/update", update=update)

    async def fail(self, method: str, *failures: dict[str, Any]) -> None:
        """Answer the next calls of `method` with these errors.

        `untouched` is the peer's own answer, `delay` the usual one after so many milliseconds, `date`
        the usual one as if it were that time; `drop` is none: the connection ends.
        """
        await self._post("control/fail", method=method, failures=failures)

    async def member(self, chat: int, **member: Any) -> None:
        """Say what getChatMember answers for a user in a chat."""
        await self._post("control/member", chat=chat, member=member)

    async def polls(self) -> int:
        return int((await self._post("control/record"))["polls"])

    async def calls(self, *methods: str) -> list[dict[str, Any]]:
        """Return what the bot sent so far by these methods, in order."""
        record = await self._post("control/record")
        return [call["body"] for call in record["calls"] if call["method"] in methods]

    async def sent(self, count: int, method: str = "sendMessage", seconds: float = 5) -> list[dict[str, Any]]:
        """Wait until the bot has called `method` `count` times and return these calls."""
        until = time.monotonic() + seconds
        while len(calls := await self.calls(method)) < count:
            assert time.monotonic() < until, f"{len(calls)} of {count} calls of {method} arrived"
            await asyncio.sleep(0.02)
        assert len(calls) == count
        return calls

    async def _post(self, path: str, **body: Any) -> Any:
        response = await self.http.post(f"/{path}", json={"token": self.token, **body})
        return response.raise_for_status().json()


@dataclass
class Person:
    """Somebody in a chat with the bot; a negative chat id is a supergroup."""

    bot: Bot
    chat: int
    id: int = 31
    first_name: str = "Ross"
    last_name: str = "G"

    @property
    def sender(self) -> dict[str, Any]:
        return {"id": self.id, "is_bot": False, "first_name": self.first_name, "last_name": self.last_name}

    @property
    def where(self) -> dict[str, Any]:
        if self.chat > 0:
            return {"id": self.chat, "type": "private", "first_name": self.first_name}
        return {"id": self.chat, "type": "supergroup", "title": "Central Perk"}

    def message(self, **fields: Any) -> dict[str, Any]:
        return {"date": int(time.time()), "chat": self.where, "from": self.sender, **fields}

    async def say(self, text: str, **fields: Any) -> None:
        """Send a text the way the peer's client does; `fields` are more fields of the message."""
        await self._client("sendMessage", **self.message(text=text, **fields))

    async def joins(self, status: str, **rights: Any) -> None:
        """Become a member of the chat with a status such as `member` or `creator`."""
        await self.bot.member(self.chat, status=status, user=self.sender, **rights)

    async def command(self, text: str, **fields: Any) -> None:
        """Send a text that starts with a command."""
        entities = [{"type": "bot_command", "offset": 0, "length": len(text.split(maxsplit=1)[0])}]
        await self._client("sendCommand", **self.message(text=text, entities=entities, **fields))

    async def press(self, data: str, **fields: Any) -> None:
        """Press an inline button under a message of the bot's."""
        me = {"id": self.bot.id, "is_bot": True, "first_name": "EchoChamber"}
        under = {"message_id": 1, "text": "Who?", **self.message(), "from": me, **fields}
        await self._client("sendCallback", **{"from": self.sender, "message": under, "data": data})

    async def _client(self, route: str, **body: Any) -> None:
        response = await self.bot.http.post(f"/{route}", json={"botToken": self.bot.token, **body})
        response.raise_for_status()


def mention(text: str, name: str) -> list[dict[str, Any]]:
    """Return the entity of `name` in `text`, by UTF-16 offsets as Telegram counts."""
    units: Callable[[str], int] = lambda part: len(part.encode("utf-16-le")) // 2  # noqa: E731
    return [{"type": "mention", "offset": units(text[: text.index(name)]), "length": units(name)}]
