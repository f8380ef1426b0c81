"""Adapters beside the merged one: each speaks for its characters, in one base and one batch after another."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from bot.engine.bases import find_base
from bot.engine.checkpoints import CheckpointError, LoadedCheckpoint, load_checkpoint, load_screenplay
from bot.engine.local import LocalEngine
from bot.engine.protocol import GenerateRequest, Sampling, ScoreRequest
from persona.card import Card
from persona.characters import Persona, friends
from tests.bot.engine.pupils import JOEY, SCENE
from tests.toys import toy_gpt2, toy_llama
from training.export import Exporter

GUNTHER = Persona.from_speaker("Gunther")
GREEDY = GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0), longest=12)


@pytest.fixture(params=["gpt2", "llama"])
def make(request: pytest.FixtureRequest, tmp_path: Path):
    """Make an adapter of random weights that is far from the base."""
    toy = toy_gpt2 if request.param == "gpt2" else toy_llama
    base = find_base(str(toy(tmp_path / "base")), tmp_path / "cache")

    def maker(name: str, rank: int, *personas: Persona) -> Path:
        torch.manual_seed(rank)
        config = LoraConfig(
            r=rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False,
            fan_in_fan_out=request.param == "gpt2",
        )  # fmt: skip
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.folder), config)
        with torch.no_grad():
            for key, weights in model.named_parameters():
                if "lora" in key:
                    weights.mul_(8)
        screenplay = load_screenplay(base.folder)
        Exporter(base, screenplay, Card(base.card, screenplay.format.name, "adapter", personas)).write(
            model, tmp_path / name, {}, {}
        )
        return tmp_path / name

    return maker


def loaded(tmp_path: Path, folder: Path, *beside: Path) -> LoadedCheckpoint:
    return load_checkpoint(folder, cache=tmp_path / "cache", device="cpu", precision="fp32", beside=beside)


async def test_each_adapter_says_what_it_says_alone(make, tmp_path):
    six, one = make("six", 3, *friends()), make("one", 2, GUNTHER)
    asks = [replace(GREEDY, persona=persona, n=2) for persona in (JOEY, GUNTHER, friends()[1], GUNTHER)]
    scored = [ScoreRequest(SCENE, persona, ("soup", "no spoons")) for persona in (JOEY, GUNTHER)]
    alone = {}
    for folder, persona in ((six, JOEY), (one, GUNTHER)):
        checkpoint = loaded(tmp_path, folder)
        engine = LocalEngine(lambda checkpoint=checkpoint: checkpoint)
        alone[persona.id] = (
            await engine.generate(replace(GREEDY, persona=persona, n=2)),
            await engine.score(ScoreRequest(SCENE, persona, ("soup", "no spoons"))),
        )
        await engine.aclose()
    together = loaded(tmp_path, six, one)
    assert [persona.id for persona in together.personas] == [*(one.id for one in friends()), "gunther"]
    engine = LocalEngine(lambda: together)
    for _ in range(2):  # the second time from the cache, which must not mix them up
        found = await asyncio.gather(*map(engine.generate, asks), *map(engine.score, scored))
        assert [one.text for one in found[0]] == [one.text for one in alone["joey"][0]]
        assert (
            [one.text for one in found[1]]
            == [one.text for one in alone["gunther"][0]]
            == [one.text for one in found[3]]
        )
        assert found[4] == pytest.approx(alone["joey"][1], abs=2e-3)
        assert found[5] == pytest.approx(alone["gunther"][1], abs=2e-3)
    await engine.aclose()
    assert abs(alone["joey"][1][0] - alone["gunther"][1][0]) > 0.02


def test_whoever_an_adapter_beside_teaches_is_spoken_by_it(make, tmp_path):
    found = loaded(tmp_path, make("six", 3, *friends()), make("joey", 2, replace(JOEY, greeting="Hey.")))
    assert found.adapter_of == {"joey": str(tmp_path / "joey")}
    assert len(found.personas) == 6
    assert found.personas[0].greeting == "Hey."


def test_what_cannot_stand_beside_is_a_sentence(make, tmp_path):
    six, one = make("six", 3, *friends()), make("one", 2, GUNTHER)
    with pytest.raises(CheckpointError, match="set MODEL to the first"):
        loaded(tmp_path, None, one)
    card = (one / "persona.json").read_text()
    (one / "persona.json").write_text(card.replace('"adapter"', '"full"'))
    with pytest.raises(CheckpointError, match="holds whole weights: it cannot be kept beside"):
        loaded(tmp_path, six, one)
    with pytest.raises(CheckpointError, match="holds whole weights, and adapters can be kept beside an adapter only"):
        loaded(tmp_path, one, six)
    (one / "persona.json").write_text(card)
    (one / "adapter_model.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="cannot be served together"):
        loaded(tmp_path, six, one)
