"""A checkpoint taught without names is loaded and served like any other, here and by a server."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from bot.engine.bases import find_base
from bot.engine.checkpoints import LoadedCheckpoint, load_checkpoint, load_screenplay
from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.completions import Server
from bot.engine.local import LocalEngine
from bot.engine.protocol import GenerateRequest, ReplyEngine, Sampling, ScoreRequest
from bot.engine.remote import RemoteEngine
from bot.engine.scorer import Scorer, Situation
from persona.card import Card
from persona.characters import friends
from persona.dialogue import Scene, Turn
from persona.screenplay import EOS_NAMELESS
from tests.bot.engine.completions_server import CompletionsServer
from tests.bot.engine.pupils import JOEY, MAKERS, REPLY, SCENE
from training.export import Exporter

ROSS = friends()[-1]
LONG = Scene(tuple(Turn("Guest", f"{at} spoons and {at} bowls") for at in range(20)))
SCENES = {"nothing": Scene(()), "a few turns": SCENE, "many turns": LONG}
GREEDY = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0))


def written(kind: str, folder: Path) -> Path:
    """Write whole weights in the nameless format, as the hub's chatbots have them."""
    base = find_base(str(MAKERS[kind](folder / "base")), folder / "cache")
    card = Card(base.card, EOS_NAMELESS.name, "full", friends())
    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32)
    with torch.no_grad():  # the toy's EOS is its padding, too, whose embedding is nothing but zeros
        model.get_input_embeddings().weight.normal_(std=0.02, generator=torch.Generator().manual_seed(0))
    Exporter(base, load_screenplay(base.folder, EOS_NAMELESS.name), card).write(model, folder / "nameless", {}, {})
    return folder / "nameless"


@pytest.fixture(params=MAKERS)
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedCheckpoint:
    folder = written(request.param, tmp_path)
    return load_checkpoint(folder, cache=tmp_path / "cache", device="cpu", precision="fp32")


@pytest.fixture(params=["local", "remote"])
async def engine(request: pytest.FixtureRequest, checkpoint: LoadedCheckpoint) -> AsyncIterator[ReplyEngine]:
    async with AsyncExitStack() as stack:
        if request.param == "local":
            made: ReplyEngine = LocalEngine(lambda: checkpoint)
        else:
            server = await stack.enter_async_context(CompletionsServer(checkpoint))
            made = RemoteEngine(Server(server.url), lambda: checkpoint.screenplay, context=128)
        stack.push_async_callback(made.aclose)
        yield made


@pytest.fixture
def generated(checkpoint: LoadedCheckpoint) -> Callable[[Scene], str]:
    """What transformers says behind the prompt, asked before an engine takes the model."""
    screenplay, said = checkpoint.screenplay, {}
    for name, scene in SCENES.items():
        prompt = torch.tensor([screenplay.prompt(scene.turns, JOEY.name, 68)])
        ids = checkpoint.model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=60,
            eos_token_id=list(screenplay.tokenizer.controls.values()), pad_token_id=screenplay.end_id,
        )[0, prompt.shape[1] :]  # fmt: skip
        said[name] = screenplay.tokenizer.decode(ids.tolist()).strip()
    return said.__getitem__


@pytest.fixture
def logprob(checkpoint: LoadedCheckpoint) -> Callable[[str], float]:
    """What the model gives REPLY and its end behind the prompt, read in one go."""
    screenplay, found = checkpoint.screenplay, {}
    said = screenplay.said(REPLY)
    for name, scene in SCENES.items():
        prompt = screenplay.prompt(scene.turns, JOEY.name, 96)
        with torch.inference_mode():
            logprobs = checkpoint.model(torch.tensor([prompt + said])).logits[0].log_softmax(-1)
        found[name] = sum(logprobs[len(prompt) + at - 1, token].item() for at, token in enumerate(said))
    return found.__getitem__


def test_it_is_loaded_in_its_own_format(checkpoint):
    assert checkpoint.screenplay.format is EOS_NAMELESS
    assert checkpoint.personas == friends()


@pytest.mark.parametrize("name", SCENES)
async def test_what_is_said_is_what_transformers_generates(generated, logprob, engine, name):
    [candidate] = await engine.generate(replace(GREEDY, conversation=SCENES[name]))
    assert candidate.text == generated(name)
    [score] = await engine.score(ScoreRequest(SCENES[name], JOEY, (REPLY,)))
    assert score == pytest.approx(logprob(name), abs=1e-3)


async def test_turns_before_the_last_seven_are_not_read(engine):
    request = ScoreRequest(LONG, JOEY, (REPLY, "no"))
    cut = replace(request, conversation=Scene(LONG.turns[-7:]))
    assert await engine.score(request) == pytest.approx(await engine.score(cut), abs=1e-3)


async def test_all_names_are_alike(engine):
    scorer = Scorer(engine, friends())
    [here] = await scorer.here(Situation(SCENE, JOEY), (REPLY,))
    [others] = await scorer.others(Situation(SCENE, JOEY), (REPLY,))
    assert others == pytest.approx([here] * 5, abs=1e-3)


async def test_the_bot_chooses_among_its_replies(checkpoint):
    engine = LocalEngine(lambda: checkpoint)
    chooser = Chooser(engine, friends(), ChooserOptions(sampling=Sampling(temperature=1.5), attempts=4))
    for scene in SCENES.values():
        found = await chooser.consider(scene, ROSS, seed=1)
        assert len(found.candidates) >= 8
    await engine.aclose()
