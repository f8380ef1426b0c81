"""Discord, with simcord as the peer: discord.py runs unmodified, HTTP and gateway are simulated."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import discord
import pytest
import simcord
from aiohttp import test_utils, web
from simcord.enums import MessageType

from bot.conversation import Address
from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.protocol import GenerateRequest
from bot.engine.scripted import ScriptedEngine
from bot.history import History
from bot.platforms.crowd import MOST
from bot.platforms.discord import DiscordPlatform
from bot.platforms.discord.client import HIDDEN, DiscordClient
from bot.platforms.discord.commands import FAILED, NO_MODERATOR
from bot.platforms.errors import PlatformError
from bot.replier import BUSY, Replier
from persona.characters import find_persona, friends
from persona.dialogue import Turn

JOEY, ROSS = "Joey Tribbiani", "Ross Geller"
TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"


@dataclass
class Stage:
    """A running bot with a server, a channel and two people."""

    env: simcord.Env
    engine: ScriptedEngine
    history: History
    guild: simcord.GuildHandle
    channel: simcord.ChannelHandle
    alice: simcord.MemberActor
    bob: simcord.MemberActor

    @property
    def bot_id(self) -> int:
        """The bot's own id."""
        return self.env.backend.bot_user.id

    @property
    def me(self) -> str:
        """The bot's mention."""
        return f"<@{self.bot_id}>"

    def scene(self, number: int = -1) -> list[Turn]:
        """The turns that the engine was asked about."""
        return list(self.engine.asked[number].conversation.turns)

    def sent(self, channel: Any = None) -> list[discord.Message]:
        """What the bot has said in a channel."""
        said = (channel or self.channel).history()
        return [message for message in said if message.author.id == self.bot_id]

    def texts(self, channel: Any = None) -> list[str]:
        """The texts of what the bot has said in a channel."""
        return [message.content for message in self.sent(channel)]

    def is_deferring(self) -> bool:
        """Whether the bot has asked for patience with a command."""
        callbacks = [one.json or {} for one in self.env.http_requests if one.path.endswith("/callback")]
        return any(one.get("type") == 5 for one in callbacks)

    def post(self, channel: Any, author: simcord.MemberActor, text: str) -> None:
        """Let a message arrive without waiting for what the bot makes of it."""
        self.env.backend.create_message(channel.id, author.id, text)


Gate = Callable[[GenerateRequest], Awaitable[None]]
Open = Callable[..., Any]


@pytest.fixture
def open_stage(history: History) -> Open:
    """Open a stage on an emptied history."""

    @asynccontextmanager
    async def opened(replies: Sequence[Any] = ("How you doin'?",), *, gate: Gate | None = None) -> AsyncIterator[Stage]:
        engine = ScriptedEngine(replies, gate=gate)
        replier = Replier(Chooser(engine, friends(), ChooserOptions(longest=1000)), history, friends())
        async with simcord.run(DiscordClient(replier), approved_intents=discord.Intents.default()) as env:
            guild = env.create_guild()
            channel = guild.create_text_channel("general")
            alice, bob = (guild.add_member(env.create_user(name)) for name in ("alice", "bob"))
            yield Stage(env, engine, history, guild, channel, alice, bob)

    return opened


async def until(happened: Callable[[], object]) -> None:
    """Wait until something has happened; fails after five seconds."""
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - simcord tells of nothing while the bot is busy
            await asyncio.sleep(0.005)


async def open_when(gate: asyncio.Event, happened: Callable[[], object]) -> None:
    """Open the gate once something has happened."""
    await until(happened)
    gate.set()


async def test_the_commands_are_registered_at_login(open_stage: Open) -> None:
    async with open_stage() as stage:
        commands = {"persona", "filter", "reset", "forget", "help", "start"}
        await until(lambda: stage.alice.available_commands(stage.channel))
        assert set(stage.alice.available_commands(stage.channel)) == commands
        assert set(stage.alice.user.available_commands()) == commands


async def test_a_direct_message_is_answered(open_stage: Open) -> None:
    async with open_stage(["Hey.", "Pizza!"]) as stage:
        await stage.alice.send_dm("hi")
        await stage.alice.send_dm("what do you eat?")
        assert stage.texts(stage.alice.user.dm_channel) == ["Hey.", "Pizza!"]
        assert stage.scene() == [Turn("alice", "hi"), Turn(JOEY, "Hey."), Turn("alice", "what do you eat?")]
        assert stage.engine.asked[-1].persona.id == "joey"


async def test_in_a_server_only_who_addresses_the_bot_is_answered(open_stage: Open) -> None:
    async with open_stage() as stage:
        await stage.alice.send(stage.channel, "anybody here?")
        await stage.alice.send(stage.channel, f"{stage.bob.mention} hello")
        await stage.alice.send(stage.channel, "@everyone wake up")
        await stage.alice.send(stage.channel, "@here wake up")
        assert stage.engine.asked == []
        assert stage.sent() == []
        await stage.alice.send(stage.channel, f"{stage.me} anybody here?")
        assert stage.scene() == [Turn("alice", "anybody here?")]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("{me} how are you?", "how are you?"),
        ("{me}, how are you?", "how are you?"),
        ("hey {me}, how are you?", "hey, how are you?"),
        ("hey {old} how are you?", "hey how are you?"),
        ("how are you {me}?", "how are you?"),
        ("{me} ask {bob} in {channel}", "ask @bob in #general"),
        ("{me} {me} twice", "twice"),
        ("{me} <:joy:123456789> <a:dance:987654321> </help:123456789>", ":joy: :dance: /help"),
        ("{me} who is <@4242>?", "who is @someone?"),
        ("{me} 1 < 2 > 0 @everyone", "1 < 2 > 0 @everyone"),
        ("{me} one\ntwo", "one two"),
    ],
)
async def test_the_mention_is_cut_and_others_are_readable(open_stage: Open, typed: str, read: str) -> None:
    async with open_stage() as stage:
        old = stage.me.replace("@", "@!")
        await stage.alice.send(
            stage.channel,
            typed.format(me=stage.me, old=old, bob=stage.bob.mention, channel=stage.channel.mention),
        )
        said = [Turn(one.name, " ".join(one.text.split())) for one in stage.scene()]
        assert said == [Turn("alice", read)]


async def test_a_bare_mention_is_greeted_and_not_stored(open_stage: Open) -> None:
    async with open_stage() as stage:
        await stage.alice.send(stage.channel, stage.me)
        assert stage.engine.asked == []
        assert stage.texts() == [find_persona("joey", friends()).greeting]
        await stage.alice.send(stage.channel, f"{stage.me} hi")
        assert stage.scene() == [Turn("alice", "hi")]


async def test_a_reply_to_the_bot_is_answered_and_to_others_not(open_stage: Open) -> None:
    async with open_stage(["First.", "Second."]) as stage:
        asked = await stage.alice.send(stage.channel, f"{stage.me} hi")
        await stage.bob.send(stage.channel, "and me?", reply_to=stage.sent()[0])
        await stage.bob.send(stage.channel, "I meant you, alice", reply_to=asked)
        assert stage.texts() == ["First.", "Second."]
        assert stage.scene() == [Turn("alice", "hi"), Turn(JOEY, "First."), Turn("bob", "and me?")]


async def own_role(stage: Stage) -> int:
    """Tag the bot's managed role as Discord does (simcord leaves the tags out); return its id."""
    guild = stage.env.backend.get_guild(stage.guild.id)
    (role,) = [one for one in guild.roles.values() if one.managed]
    tagged = {
        "id": str(role.id),
        "name": role.name,
        "permissions": str(role.permissions),
        "position": role.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": True,
        "mentionable": True,
        "flags": 0,
        "tags": {"bot_id": str(stage.bot_id)},
    }
    role.mentionable = True
    stage.env.backend.emit("GUILD_ROLE_UPDATE", {"guild_id": str(stage.guild.id), "role": tagged})
    await stage.env.settle()
    return int(role.id)


async def test_the_bots_own_role_addresses_it_and_other_roles_do_not(open_stage: Open) -> None:
    async with open_stage() as stage:
        other = stage.guild.create_role("cooks", mentionable=True)
        role = await own_role(stage)
        await stage.alice.send(stage.channel, f"<@&{role}> {stage.me} hi {other.mention}")
        assert stage.scene() == [Turn("alice", "hi @cooks")]
        await stage.alice.send(stage.channel, f"{other.mention} hi")
        assert len(stage.engine.asked) == 1
        await stage.alice.send(stage.channel, f"<@&{role}> hi")
        assert stage.texts()[-1] == HIDDEN  # without the message-content intent Discord hides these words
        assert len(stage.engine.asked) == 1


async def test_bots_webhooks_and_edits_are_ignored(open_stage: Open) -> None:
    async with open_stage() as stage:
        robot = stage.guild.add_member(stage.env.create_user("robot", bot=True))
        await robot.send(stage.channel, f"{stage.me} hi")
        await stage.guild.create_webhook(stage.channel).send(f"{stage.me} hi")
        plain = await stage.alice.send(stage.channel, "hi")
        await stage.alice.edit(plain, f"{stage.me} hi")
        assert stage.engine.asked == []
        assert stage.sent() == []


async def test_system_messages_are_ignored(open_stage: Open) -> None:
    async with open_stage() as stage:
        await stage.alice.send_dm("hi")
        private = stage.alice.user.dm_channel
        (sent,) = stage.sent(private)
        stage.env.backend.create_system_message(
            private.id, MessageType.PINS_ADD, stage.alice.id, referenced_message_id=sent.id
        )
        await stage.env.settle()
        assert len(stage.sent(private)) == 1


async def test_threads_and_channels_are_conversations_of_their_own(open_stage: Open) -> None:
    async with open_stage(["One.", "Two.", "Three.", "Four."]) as stage:
        threads = []
        for name in ("north", "south"):
            made = stage.env.backend.create_thread(stage.channel.id, name, stage.alice.id)
            stage.env.backend.add_thread_member(made.id, stage.alice.id)
            threads.append(next(one for one in stage.channel.threads if one.id == made.id))
        for place, text in zip([*threads, stage.channel], ("in north", "in south", "outside"), strict=True):
            await stage.alice.send(place, f"{stage.me} {text}")
            assert stage.scene() == [Turn("alice", text)]
        await stage.alice.send(threads[0], f"{stage.me} again")
        assert stage.scene() == [Turn("alice", "in north"), Turn(JOEY, "One."), Turn("alice", "again")]


async def test_two_quick_messages_are_answered_in_order(open_stage: Open) -> None:
    gate = asyncio.Event()

    async def wait(request: GenerateRequest) -> None:
        await gate.wait()

    async with open_stage(["To alice.", "To bob."], gate=wait) as stage:
        stage.post(stage.channel, stage.alice, f"{stage.me} first")
        stage.post(stage.channel, stage.bob, f"{stage.me} second")
        await until(lambda: stage.engine.asked)
        assert [turn.text for turn in stage.scene()] == ["first"]
        gate.set()
        await stage.env.settle()
        assert stage.texts() == ["To alice.", "To bob."]
        assert stage.scene() == [Turn("alice", "first"), Turn(JOEY, "To alice."), Turn("bob", "second")]


async def test_a_flood_in_one_channel_is_told_once(open_stage: Open) -> None:
    gate = asyncio.Event()

    async def wait(request: GenerateRequest) -> None:
        await gate.wait()

    async with open_stage(["Sure."], gate=wait) as stage:
        for number in range(MOST + 5):
            stage.post(stage.channel, stage.alice, f"{stage.me} {number}")
        await until(stage.texts)
        gate.set()
        await stage.env.settle()
        assert stage.texts() == [BUSY, *["Sure."] * MOST]


async def test_another_channel_is_answered_meanwhile(open_stage: Open) -> None:
    gate = asyncio.Event()

    async def wait(request: GenerateRequest) -> None:
        if request.conversation.turns[-1].text == "slow":
            await gate.wait()

    async with open_stage([lambda request: f"To {request.conversation.turns[-1].text}."], gate=wait) as stage:
        other = stage.guild.create_text_channel("other")
        stage.post(stage.channel, stage.alice, f"{stage.me} slow")
        await until(lambda: stage.engine.asked)
        stage.post(other, stage.bob, f"{stage.me} quick")
        await until(lambda: stage.texts(other))
        assert stage.texts() == []
        gate.set()
        await stage.env.settle()
        assert stage.texts() == ["To slow."]
        assert stage.texts(other) == ["To quick."]


async def test_a_reply_answers_its_message_and_notifies_nobody(open_stage: Open) -> None:
    async with open_stage(["@everyone <@1> see https://example.org"]) as stage:
        asked = await stage.alice.send(stage.channel, f"{stage.me} hi")
        (sent,) = stage.sent()
        assert sent.reference is not None
        assert sent.reference.message_id == asked.id
        assert (sent.mentions, sent.mention_everyone, sent.flags.suppress_embeds) == ([], False, True)
        (request,) = [one for one in stage.env.http_requests if is_sending(one)]
        assert request.json["allowed_mentions"] == {"parse": []}
        assert request.json["message_reference"]["fail_if_not_exists"] is False


def is_sending(request: Any) -> bool:
    """Say whether a request sends a message."""
    return bool(request.method == "POST" and request.path.endswith("/messages"))


async def test_a_message_deleted_meanwhile_is_answered_plainly(open_stage: Open) -> None:
    gate = asyncio.Event()

    async def wait(request: GenerateRequest) -> None:
        await gate.wait()

    async with open_stage(gate=wait) as stage:
        stage.post(stage.channel, stage.alice, f"{stage.me} hi")
        await until(lambda: stage.engine.asked)
        stage.env.backend.delete_message(stage.channel.id, stage.channel.history()[-1].id)
        gate.set()
        await stage.env.settle()
        assert stage.texts() == ["How you doin'?"]


async def test_a_long_reply_comes_in_pieces(open_stage: Open) -> None:
    words = " ".join(f"word{number}" for number in range(500))
    async with open_stage([lambda request: words]) as stage:
        await stage.alice.send_dm("talk")
        texts = stage.texts(stage.alice.user.dm_channel)
        assert len(texts) > 1
        assert all(0 < len(text) <= 2000 for text in texts)


async def test_typing_is_shown_and_may_fail(open_stage: Open) -> None:
    async with open_stage() as stage:
        await stage.alice.send(stage.channel, f"{stage.me} hi")
        assert [one for one in stage.env.http_requests if one.path.endswith("/typing")]
        stage.env.inject_error("POST", "/channels/*/typing", status=500, times=None)
        await stage.alice.send(stage.channel, f"{stage.me} hi again")
        assert len(stage.sent()) == 2


async def test_persona_chooses_who_speaks_in_this_conversation(open_stage: Open) -> None:
    async with open_stage() as stage:
        other = stage.guild.create_text_channel("other")
        await stage.alice.send(stage.channel, f"{stage.me} hi")
        result = await stage.alice.slash(stage.channel, "persona", name="ross")
        assert result.response is not None
        assert result.response.content.startswith(f"{ROSS}: ")
        await stage.alice.send(stage.channel, f"{stage.me} and now?")
        assert stage.engine.asked[-1].persona.id == "ross"
        assert stage.scene() == [Turn("alice", "and now?")]
        await stage.alice.send(other, f"{stage.me} and here?")
        assert stage.engine.asked[-1].persona.id == "joey"


async def test_persona_says_who_there_is(open_stage: Open) -> None:
    async with open_stage() as stage:
        result = await stage.alice.slash(stage.channel, "persona", name="gunther")
        assert result.response is not None
        assert "chandler" in result.response.content


async def test_persona_completes_names(open_stage: Open) -> None:
    async with open_stage() as stage:
        everybody = await stage.alice.autocomplete(stage.channel, "persona", "name", "")
        assert {choice["value"] for choice in everybody} == {one.id for one in friends()}
        found = await stage.alice.autocomplete(stage.channel, "persona", "name", "CHAN")
        assert found == [{"name": "Chandler Bing", "value": "chandler"}]


@pytest.mark.parametrize("permission", ["manage_messages", "administrator"])
async def test_who_may_manage_messages_sets_the_filter_of_a_channel(open_stage: Open, permission: str) -> None:
    async with open_stage(["Damn it."]) as stage:
        other = stage.guild.create_text_channel("other")
        role = stage.guild.create_role("moderators", permissions=discord.Permissions(**{permission: True}))
        carol = stage.guild.add_member(stage.env.create_user("carol"), roles=[role])
        result = await carol.slash(stage.channel, "filter", level="strict")
        assert result.response is not None
        assert result.response.content.startswith("The filter is strict: ")
        assert not result.ephemeral
        for place in (stage.channel, other):
            await stage.alice.send(place, f"{stage.me} hi")
        assert stage.texts()[-1] in find_persona("joey", friends()).fallbacks
        assert stage.texts(other) == ["Damn it."]


async def test_others_see_the_filter_of_a_channel_and_leave_it(open_stage: Open) -> None:
    async with open_stage() as stage:
        for level in ("off", "strict"):
            result = await stage.alice.slash(stage.channel, "filter", level=level)
            assert (result.response.content, result.ephemeral) == (NO_MODERATOR, True)
        shown = await stage.alice.slash(stage.channel, "filter")
        assert shown.response.content.startswith("The filter is slurs: ")
        assert shown.ephemeral


async def test_a_thread_has_its_channels_filter(open_stage: Open) -> None:
    async with open_stage(["Damn it."]) as stage:
        await stage.history.set_filter_level(Address("discord", str(stage.bot_id), str(stage.channel.id)), "strict")
        made = stage.env.backend.create_thread(stage.channel.id, "north", stage.alice.id)
        stage.env.backend.add_thread_member(made.id, stage.alice.id)
        thread = next(one for one in stage.channel.threads if one.id == made.id)
        await stage.alice.send(thread, f"{stage.me} hi")
        assert stage.texts(thread)[-1] in find_persona("joey", friends()).fallbacks


async def test_in_private_anybody_sets_the_filter(open_stage: Open) -> None:
    async with open_stage(["Damn it."]) as stage:
        result = await stage.alice.user.slash("filter", level="strict")
        assert result.response is not None
        assert result.response.content.startswith("The filter is strict: ")
        await stage.alice.send_dm("hi")
        assert stage.texts(stage.alice.user.dm_channel)[-1] in find_persona("joey", friends()).fallbacks


async def test_reset_empties_this_conversation_only(open_stage: Open) -> None:
    async with open_stage() as stage:
        await stage.alice.send_dm("in private")
        await stage.alice.send(stage.channel, f"{stage.me} before")
        await stage.bob.slash(stage.channel, "reset")
        await stage.alice.send(stage.channel, f"{stage.me} after")
        assert stage.scene() == [Turn("alice", "after")]
        await stage.alice.send_dm("still in private")
        assert stage.scene()[0] == Turn("alice", "in private")


async def test_reset_waits_for_the_reply_in_hand(open_stage: Open) -> None:
    gate = asyncio.Event()

    async def wait(request: GenerateRequest) -> None:
        await gate.wait()

    async with open_stage(gate=wait) as stage:
        stage.post(stage.channel, stage.alice, f"{stage.me} before")
        await until(lambda: stage.engine.asked)

        opening = asyncio.create_task(open_when(gate, stage.is_deferring))
        result = await stage.bob.slash(stage.channel, "reset")
        await opening
        assert result.response is not None
        assert sorted(stage.texts()) == ["How you doin'?", result.response.content]
        await stage.alice.send(stage.channel, f"{stage.me} after")
        assert stage.scene() == [Turn("alice", "after")]


async def test_a_message_right_behind_reset_comes_after_it(open_stage: Open) -> None:
    async with open_stage() as stage:
        await stage.alice.send(stage.channel, f"{stage.me} before")
        resetting = asyncio.create_task(stage.bob.slash(stage.channel, "reset"))
        asyncio.get_running_loop().call_soon(stage.post, stage.channel, stage.alice, f"{stage.me} after")
        await resetting
        await stage.env.settle()
        assert stage.scene() == [Turn("alice", "after")]


class Faulty(Replier):
    """A replier whose reset fails in a way that nobody has thought of."""

    async def reset(self, address: Address) -> None:
        raise KeyError("a secret word")


async def test_a_fault_in_a_command_is_said_and_logged_without_words(
    history: History, caplog: pytest.LogCaptureFixture
) -> None:
    faulty = Faulty(Chooser(ScriptedEngine(["Hi."]), friends()), history, friends())
    async with simcord.run(DiscordClient(faulty), approved_intents=discord.Intents.default()) as env:
        result = await env.create_user("alice").slash("reset")
        assert result.response is not None
        assert result.response.content == FAILED
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


async def test_forget_drops_ones_own_turns_everywhere(open_stage: Open) -> None:
    async with open_stage(["One.", "Two.", "Three.", "Four.", "Five."]) as stage:
        await stage.alice.send(stage.channel, f"{stage.me} mine")
        await stage.bob.send(stage.channel, f"{stage.me} bob's")
        await stage.alice.send_dm("mine too")
        result = await stage.alice.slash(stage.channel, "forget")
        assert result.ephemeral
        assert result.response is not None
        assert "4" in result.response.content
        await stage.bob.send(stage.channel, f"{stage.me} who is left?")
        assert [turn.text for turn in stage.scene()] == ["bob's", "Two.", "who is left?"]
        await stage.alice.send_dm("hi")
        assert stage.scene() == [Turn("alice", "hi")]


async def test_help_says_what_is_stored_to_who_asked(open_stage: Open) -> None:
    async with open_stage() as stage:
        result = await stage.alice.slash(stage.channel, "help")
        assert result.ephemeral
        assert result.response is not None
        for word in ("/persona", "/filter", "/reset", "/forget", "30 days"):
            assert word in result.response.content


async def test_start_greets_in_character(open_stage: Open) -> None:
    async with open_stage() as stage:
        await stage.alice.user.slash("start")
        (text,) = stage.texts(stage.alice.user.dm_channel)
        assert text.startswith(f"{JOEY}: ")
        assert "/persona" in text


async def test_a_user_called_like_a_character_is_a_guest(open_stage: Open) -> None:
    async with open_stage() as stage:
        impostor = stage.guild.add_member(stage.env.create_user("someone"), nick="Joey Tribbiani")
        await impostor.send(stage.channel, f"{stage.me} I am you")
        assert stage.scene() == [Turn("Guest", "I am you")]


async def test_a_restarted_bot_remembers(open_stage: Open) -> None:
    async with open_stage() as stage:
        await stage.alice.send(stage.channel, f"{stage.me} before")
        engine = ScriptedEngine(["Again."])
        replier = Replier(Chooser(engine, friends()), stage.history, friends())
        await stage.env.restart_bot(DiscordClient(replier))
        await stage.alice.send(stage.channel, f"{stage.me} after")
        said = [turn.text for turn in engine.asked[-1].conversation.turns]
        assert said == ["before", "How you doin'?", "after"]


async def test_stopping_finishes_replies_in_hand_and_takes_no_more(open_stage: Open) -> None:
    gate = asyncio.Event()

    async def wait(request: GenerateRequest) -> None:
        await gate.wait()

    async with open_stage(gate=wait) as stage:
        client = stage.env.bot
        assert isinstance(client, DiscordClient)
        stage.post(stage.channel, stage.alice, f"{stage.me} hi")
        await until(lambda: stage.engine.asked)
        draining = asyncio.create_task(client.drain(5))
        await asyncio.sleep(0)
        stage.post(stage.channel, stage.bob, f"{stage.me} too late")
        gate.set()
        await draining
        await stage.env.settle()
        assert stage.texts() == ["How you doin'?"]
        assert len(stage.engine.asked) == 1


async def test_stopping_gives_up_a_reply_that_takes_too_long(open_stage: Open) -> None:
    async def wait(request: GenerateRequest) -> None:
        await asyncio.Event().wait()

    async with open_stage(gate=wait) as stage:
        client = stage.env.bot
        assert isinstance(client, DiscordClient)
        stage.post(stage.channel, stage.alice, f"{stage.me} hi")
        await until(lambda: stage.engine.asked)
        await client.drain(0.01)
        await stage.env.settle()
        assert stage.texts() == []


@pytest.fixture
def replier(history: History) -> Replier:
    """Somebody who could answer."""
    return Replier(Chooser(ScriptedEngine(["Hi."]), friends()), history, friends())


@asynccontextmanager
async def refusing(status: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """Discord's address leads to a server that answers everything with `status`; gives what it was asked."""
    asked: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"message": "no", "code": 0}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    async with test_utils.TestServer(app) as server:
        monkeypatch.setattr(discord.http.Route, "BASE", str(server.make_url("/api/v10")))
        yield asked


async def test_a_bad_token_is_one_sentence_without_it(replier: Replier, monkeypatch: pytest.MonkeyPatch) -> None:
    async with refusing(401, monkeypatch) as asked:
        with pytest.raises(PlatformError) as caught:
            await DiscordPlatform(TOKEN, replier).run(asyncio.Event())
    assert asked == ["/api/v10/users/@me"]
    assert "DISCORD_TOKEN" in str(caught.value)
    assert "https://discord.com/developers" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("token", [f"{TOKEN}\n{TOKEN}", "\N{SNOWMAN}"])
async def test_a_token_that_no_request_can_carry(token: str, replier: Replier, monkeypatch: pytest.MonkeyPatch) -> None:
    async with refusing(401, monkeypatch):
        with pytest.raises(PlatformError, match="DISCORD_TOKEN") as caught:
            await DiscordPlatform(token, replier).run(asyncio.Event())
    assert token not in str(caught.value)


async def test_no_network_is_one_sentence(replier: Replier, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(discord.http.Route, "BASE", f"http://127.0.0.1:{taken.getsockname()[1]}/api")
        with pytest.raises(PlatformError, match="cannot be reached"):
            await DiscordPlatform(TOKEN, replier).run(asyncio.Event())


async def test_stop_ends_a_login_that_hangs(replier: Replier, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(discord.http.Route, "BASE", f"http://127.0.0.1:{silent.getsockname()[1]}/api")
        asyncio.get_running_loop().call_later(0.1, stop.set)
        async with asyncio.timeout(5):
            await DiscordPlatform(TOKEN, replier).run(stop)
