"""The shipped adapter and the real engine behind each platform: slow, so once for each."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import discord
import httpx
import pytest
import simcord

from bot.conversation import ConversationHistory
from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.local import LocalEngine
from bot.engine.protocol import Candidate, GenerateRequest
from bot.engine.shipped import shipped_checkpoint
from bot.platforms.discord.client import DiscordClient
from bot.platforms.telegram import TelegramPlatform
from bot.replier import Replier, ReplierOptions
from bot.settings import load_settings
from persona.characters import Persona
from tests.peers.telegram.peer import Bot, Person, telegram_server

ASKED = "Hey Joey, do you want to get some pizza?"


class Recording(LocalEngine):
    """A real engine that remembers what it has said."""

    said: tuple[Candidate, ...] = ()

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        candidates = await super().generate(request)
        self.said = (*self.said, *candidates)
        return candidates


@pytest.fixture(scope="module")
def loaded() -> Any:
    """The shipped checkpoint; its base is unpacked once, into the user's cache."""
    folder = shipped_checkpoint()
    assert folder is not None, "no adapter ships in models/"
    from bot.engine.checkpoints import load_checkpoint

    return load_checkpoint(folder, cache=load_settings().cache_dir)


@pytest.fixture
async def engine(loaded: Any) -> AsyncIterator[Recording]:
    engine = Recording(lambda: loaded)
    yield engine
    await engine.aclose()


def assert_said_in_full(text: str, engine: Recording, personas: tuple[Persona, ...]) -> None:
    """`text` is one of what the engine said: ended by the end of turn, without any tag."""
    [said] = {one.finish_reason for one in engine.said if " ".join(one.text.split()) == text}
    assert said == "stop"
    assert_clean(text, personas)


def assert_clean(text: str, personas: tuple[Persona, ...]) -> None:
    assert text.strip()
    assert not [tag for tag in ("<|", "|>", "</s>", *(f"{one.name}:" for one in personas)) if tag in text]


async def test_a_telegram_message_gets_a_whole_reply(
    engine: Recording, loaded: Any, history: ConversationHistory
) -> None:
    chooser = Chooser(engine, loaded.personas, ChooserOptions(longest=120))
    replier = Replier(chooser, history, loaded.personas, ReplierOptions(seed=1, seconds=300))
    stop = asyncio.Event()
    with telegram_server() as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as http:
            bot = Bot(http, id=7000)
            running = asyncio.create_task(TelegramPlatform(bot.token, replier, api_url=url).run(stop))
            try:
                await Person(bot, chat=31).say(ASKED)
                (sent,) = await bot.sent(1, seconds=300)
            finally:
                stop.set()
                await running
    assert_said_in_full(sent["text"].replace("\u2060", ""), engine, loaded.personas)


async def test_a_discord_message_gets_a_whole_reply(
    engine: Recording, loaded: Any, history: ConversationHistory
) -> None:
    chooser = Chooser(engine, loaded.personas, ChooserOptions(longest=120))
    options = ReplierOptions(seed=1, seconds=1e9)  # simcord's clock, in which the deadline is set, is not the engine's
    replier = Replier(chooser, history, loaded.personas, options)
    intents = discord.Intents.default()
    async with simcord.run(DiscordClient(replier), approved_intents=intents, settle_timeout=300) as env:
        sam = env.create_user("sam")
        await sam.send_dm(ASKED)
        (sent,) = [one for one in sam.dm_channel.history() if one.author.id != sam.id]
    assert_said_in_full(sent.content, engine, loaded.personas)


def test_a_line_in_the_terminal_gets_a_reply(loaded: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "echochamber", "chat", "--seed", "1", "--json"],
        input=f"{ASKED}\n", capture_output=True, text=True, timeout=300, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert (answer["kind"], answer["persona"]) == ("reply", "joey")
    assert_clean(answer["text"], loaded.personas)
