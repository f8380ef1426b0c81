"""The Discord platform from login to stop over HTTP and a WebSocket: what simcord leaves out.

The server is a fake of our own and small on purpose: it speaks the opening of the gateway protocol
as https://discord.com/developers/docs/events/gateway describes it, and one direct message.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import discord
import pytest
import yarl
from aiohttp import test_utils, web

from bot.engine.chooser import Chooser
from bot.engine.scripted import ScriptedEngine
from bot.history import History
from bot.platforms.discord import DiscordPlatform
from bot.platforms.errors import PlatformError, UnreachableError
from bot.replier import Replier
from persona.characters import friends
from persona.dialogue import Turn

TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
HELLO, IDENTIFY, DISPATCH = 10, 2, 0
ME = {"id": "1", "username": "joey", "discriminator": "0", "avatar": None, "bot": True}
SAM = {"id": "7", "username": "sam", "global_name": "Sam", "discriminator": "0", "avatar": None}
APPLICATION = {
    "id": "1", "name": "joey", "icon": None, "description": "", "bot_public": True, "bot_require_code_grant": False,
    "verify_key": "", "flags": 0, "owner": SAM,
}  # fmt: skip


def message(number: int, author: dict[str, Any], content: str) -> dict[str, Any]:
    """A message in the direct channel of Sam and the bot."""
    return {
        "id": str(number), "channel_id": "70", "author": author, "content": content, "type": 0, "flags": 0,
        "timestamp": "2026-01-01T00:00:00+00:00", "edited_timestamp": None, "tts": False, "pinned": False,
        "mention_everyone": False, "mentions": [], "mention_roles": [], "attachments": [], "embeds": [],
        "components": [],
    }  # fmt: skip


class Server:
    """What the bot sent, and the gateway's side of the talk; `close_code` ends it after the identify.

    The first `drops` messages are lost with their connection, the gateway is away where `away`, and
    the list of commands is taken when `registers` is set.
    """

    def __init__(self, close_code: int | None = None, *, drops: int = 0, away: bool = False) -> None:
        self.away = away
        self.close_code = close_code
        self.drops = drops
        self.registers = asyncio.Event()
        self.registers.set()
        self.identified: dict[str, Any] = {}
        self.commands: list[str] = []
        self.registered = asyncio.Event()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.left = asyncio.Event()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_get("/api/users/@me", answering(ME))
        app.router.add_get("/api/oauth2/applications/@me", answering(APPLICATION))
        app.router.add_put("/api/applications/1/commands", self.take_commands)
        app.router.add_post("/api/channels/70/typing", answering(None))
        app.router.add_post("/api/channels/70/messages", self.take_message)
        app.router.add_get("/gateway/", self.gateway)
        return app

    async def take_commands(self, request: web.Request) -> web.Response:
        await self.registers.wait()
        self.commands = [one["name"] for one in await request.json()]
        self.registered.set()
        return as_json([])

    async def take_message(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.drops:
            self.drops -= 1
            request.transport.abort()
        await self.sent.put(body)
        return as_json(message(900, ME, body["content"]))

    async def gateway(self, request: web.Request) -> web.WebSocketResponse:
        if self.away:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": HELLO, "d": {"heartbeat_interval": 45000}})
        async for frame in socket:
            heard = json.loads(frame.data)
            if heard["op"] != IDENTIFY:
                continue
            self.identified = heard["d"]
            if self.close_code is not None:
                await socket.close(code=self.close_code)
                break
            ready = {"v": 10, "user": ME, "guilds": [], "session_id": "s", "application": {"id": "1", "flags": 0}}
            ready["resume_gateway_url"] = str(request.url.with_scheme("ws"))
            said = message(500, SAM, "hello over the wire")
            for number, (name, data) in enumerate((("READY", ready), ("MESSAGE_CREATE", said)), 1):
                await socket.send_json({"op": DISPATCH, "s": number, "t": name, "d": data})
        self.left.set()
        return socket


class NoBackoff:
    """Tries again at once, where discord.py would wait up to some seconds."""

    def delay(self) -> float:
        return 0.0


def as_json(body: Any) -> web.Response:
    """A response of exactly the type by which discord.py recognizes JSON."""
    return web.Response(body=json.dumps(body).encode(), content_type="application/json")


def answering(body: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that always answers the same; None is an answer without content."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=204) if body is None else as_json(body)

    return answer


@asynccontextmanager
async def serving(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Discord's addresses lead to `server`."""
    async with test_utils.TestServer(server.app()) as running:
        monkeypatch.setattr(discord.http.Route, "BASE", str(running.make_url("/api")))
        gateway = yarl.URL(str(running.make_url("/gateway/"))).with_scheme("ws")
        monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
        yield server


async def test_from_login_to_stop(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, stop = ScriptedEngine(["Hello to you."]), asyncio.Event()
    replier = Replier(Chooser(engine, friends()), history, friends())
    platform = DiscordPlatform(TOKEN, replier)
    async with serving(Server(), monkeypatch) as server, asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(platform.run(stop))
        sent = await server.sent.get()
        assert (sent["content"], sent["allowed_mentions"]) == ("Hello to you.", {"parse": []})
        assert sent["message_reference"]["message_id"] == 500
        assert sent["message_reference"]["fail_if_not_exists"] is False
        assert engine.asked[0].conversation.turns == (Turn("Sam", "hello over the wire"),)
        asked_for = discord.Intents._from_value(server.identified["intents"])
        assert (asked_for.guild_messages, asked_for.dm_messages) == (True, True)
        assert (asked_for.message_content, asked_for.members, asked_for.presences) == (False, False, False)
        await server.registered.wait()
        assert sorted(server.commands) == ["filter", "forget", "help", "persona", "reset", "start"]
        assert not running.done()
        stop.set()
        await running
        await server.left.wait()


async def test_a_reply_is_sent_again_where_the_connection_drops(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()
    platform = DiscordPlatform(TOKEN, Replier(Chooser(ScriptedEngine(["Hi."]), friends()), history, friends()))
    async with serving(Server(drops=1), monkeypatch) as server, asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(platform.run(stop))
        lost, sent = await server.sent.get(), await server.sent.get()
        assert lost["content"] == sent["content"] == "Hi."
        assert lost["nonce"] == sent["nonce"]  # so Discord takes it once
        assert sent["enforce_nonce"] is True
        stop.set()


async def test_people_are_answered_while_discord_lets_the_commands_wait(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()
    platform = DiscordPlatform(TOKEN, Replier(Chooser(ScriptedEngine(["Hi."]), friends()), history, friends()))
    async with serving(Server(), monkeypatch) as server, asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        server.registers.clear()
        tasks.create_task(platform.run(stop))
        assert (await server.sent.get())["content"] == "Hi."
        assert server.commands == []
        stop.set()
        server.registers.set()


async def test_a_discord_out_of_reach_may_be_tried_again(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", "http://127.0.0.1:9/api")
    platform = DiscordPlatform(TOKEN, Replier(Chooser(ScriptedEngine(["Hi."]), friends()), history, friends()))
    with pytest.raises(UnreachableError, match="check the network"):
        await platform.run(asyncio.Event())


async def test_a_gateway_out_of_reach_at_first_may_be_tried_again(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.client, "ExponentialBackoff", NoBackoff)
    platform = DiscordPlatform(TOKEN, Replier(Chooser(ScriptedEngine(["Hi."]), friends()), history, friends()))
    async with serving(Server(away=True), monkeypatch), asyncio.timeout(30):
        with pytest.raises(UnreachableError, match="check the network"):
            await platform.run(asyncio.Event())


@pytest.mark.parametrize(("code", "said"), [(4004, "DISCORD_TOKEN"), (4013, "4013")])
async def test_a_connection_that_is_refused_is_one_sentence(
    code: int, said: str, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    replier = Replier(Chooser(ScriptedEngine(["Hi."]), friends()), history, friends())
    async with serving(Server(close_code=code), monkeypatch), asyncio.timeout(30):
        with pytest.raises(PlatformError, match=said) as caught:
            await DiscordPlatform(TOKEN, replier).run(asyncio.Event())
    assert TOKEN not in str(caught.value)
