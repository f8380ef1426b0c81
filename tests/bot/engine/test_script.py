"""What renders prompts is loaded without any weight, and where it cannot be, one sentence says so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.engine.completions import Server
from bot.engine.protocol import EngineError, GenerateRequest, Sampling
from bot.engine.remote import remote_engine
from bot.engine.script import load_screenplay_only
from persona.card import BaseCard, Card
from persona.characters import friends
from tests.bot.engine.completions_server import CompletionsServer
from tests.bot.engine.pupils import JOEY, REPLY, SCENE, taught, untaught
from tests.toys import toy_tokenizer

GREEDY = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CompletionsServer]:
    async with CompletionsServer(taught("llama", tmp_path / "pupil")) as server:
        yield server


@pytest.mark.parametrize(("kind", "name"), [("gpt2", "eos-joined"), ("llama", "chatml")])
def test_it_renders_what_the_model_s_own_loading_renders(kind, name, tmp_path):
    pupil = untaught(kind, tmp_path)
    folder = tmp_path / kind
    Card(BaseCard("not/here", "0" * 64), name, "full", friends()).write(folder)
    found = load_screenplay_only(folder, tmp_path / "cache", print)
    assert found.format is pupil.screenplay.format
    assert found.prompt(SCENE.turns, JOEY.name, 90) == pupil.screenplay.prompt(SCENE.turns, JOEY.name, 90)


def test_a_tokenizer_that_only_the_base_has(tmp_path):
    untaught("llama", tmp_path)
    folder = tmp_path / "adapter"
    folder.mkdir()
    Card(BaseCard(str(tmp_path / "llama"), "0" * 64), "chatml", "adapter", friends()).write(folder)
    assert load_screenplay_only(folder, tmp_path / "cache", print).format.name == "chatml"


async def test_a_checkpoint_without_weights_is_enough(server, tmp_path):
    toy_tokenizer(chatml=True).save_pretrained(tmp_path)
    Card(BaseCard("not/here", "0" * 64), "chatml", "adapter", friends()).write(tmp_path)
    engine = remote_engine(Server(server.url), tmp_path, cache=tmp_path / "cache", tell=print)
    assert [one.text for one in await engine.generate(GREEDY)] == [REPLY]
    await engine.aclose()


def unreadable(folder: Path) -> None:
    Card(BaseCard("not/here", "0" * 64), "chatml", "adapter", friends()).write(folder)
    (folder / "tokenizer_config.json").write_text("{}")


def in_no_format(folder: Path) -> None:
    toy_tokenizer(chatml=True).save_pretrained(folder)
    Card(BaseCard("not/here", "0" * 64), "sonnet", "adapter", friends()).write(folder)


def of_another_format(folder: Path) -> None:
    toy_tokenizer().save_pretrained(folder)
    Card(BaseCard("not/here", "0" * 64), "chatml", "adapter", friends()).write(folder)


def without_tokenizer(folder: Path) -> None:
    Card(BaseCard("./nowhere", "0" * 64), "chatml", "adapter", friends()).write(folder)


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (lambda folder: None, "is not a checkpoint"),
        (unreadable, r"the tokenizer of .* cannot be loaded"),
        (in_no_format, "the format 'sonnet', which this program does not know"),
        (of_another_format, "needs the token"),
        (without_tokenizer, "there is no base './nowhere'"),
    ],
)
async def test_a_checkpoint_that_cannot_be_read_is_one_sentence(tmp_path, fill, said):
    fill(tmp_path)
    engine = remote_engine(Server("http://127.0.0.1:9"), tmp_path, cache=tmp_path / "cache", tell=print)
    for ask in (engine.ready, lambda: engine.generate(GREEDY)):
        with pytest.raises(EngineError, match=said) as caught:
            await ask()
        assert "\n" not in str(caught.value)
    await engine.aclose()
