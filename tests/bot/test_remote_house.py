"""The house with its model on somebody else's server: from the settings to a reply."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.app import open_house, run
from bot.conversation import Address
from bot.replier import Incoming
from bot.settings import Settings, load_settings
from persona.card import BaseCard, Card
from persona.characters import friends
from tests.bot.engine.completions_server import CompletionsServer, Manners
from tests.bot.engine.pupils import REPLY, taught
from tests.toys import toy_tokenizer

KEY = "sk-of-the-house"
MESSAGE = Incoming(Address("console", "1", "c"), "1", "7", "Sam", "what about the soup?", datetime.now(UTC))


class Waiting:
    """A platform on which nobody writes."""

    async def run(self, stop) -> None:
        await stop.wait()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CompletionsServer]:
    async with CompletionsServer(taught("llama", tmp_path / "pupil"), Manners(key=KEY)) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, server: CompletionsServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that name the server and a checkpoint without weights."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    folder = tmp_path / "checkpoint"
    toy_tokenizer(chatml=True).save_pretrained(folder)
    Card(BaseCard("not/here", "0" * 64), "chatml", "adapter", friends()).write(folder)
    places = {"model": folder, "data_dir": tmp_path / "data", "cache_dir": tmp_path / "cache"}
    return load_settings(None, **places, engine_url=f"{server.url}/v1", engine_key=KEY, engine_model="toy")


async def test_a_message_is_answered_by_the_server(settings, server):
    async with open_house(settings, fresh=True, seed=1) as house:
        reply = await house.replier.reply(MESSAGE)
    assert reply is not None
    assert reply.text == REPLY
    assert {body["model"] for body in server.asked} == {"toy"}


async def test_a_server_that_refuses_the_key_ends_the_house_in_one_sentence(settings, server, capsys):
    server.manners.key = "another"
    wrong = settings.model_copy(update={"redis_url": None})
    assert await run(wrong, makers={"Nobody": lambda replier: Waiting()}) == 1
    said = capsys.readouterr().err
    assert said == f"the server at {server.url} refuses the key in ENGINE_KEY (401)\n"
