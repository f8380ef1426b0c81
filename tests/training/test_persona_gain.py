"""Persona gain moves with what it claims to measure."""

import random
from pathlib import Path

import pytest
import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_base_model, load_screenplay
from persona.dialogue import Scene, Turn
from persona.screenplay import EOS_NAMELESS, Screenplay
from tests.toys import toy_gpt2, toy_llama, toy_scenes
from training.measures import LearnedLoss
from training.persona_gain import choose_lines, nats_by_name, persona_gain
from training.samples import Sampler
from training.stream import collate

JOEY, CPU = "Joey Tribbiani", torch.device("cpu")


@pytest.fixture(params=[toy_gpt2, toy_llama])
def toy(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[LearnedLoss, Screenplay]:
    base = find_base(str(request.param(tmp_path / "base")), tmp_path)
    return LearnedLoss(load_base_model(base, torch.float32)).eval(), load_screenplay(base.folder)


def test_the_shared_context_changes_no_nat(toy: tuple[LearnedLoss, Screenplay]) -> None:
    model, screenplay = toy
    lines = choose_lines(toy_scenes(4), screenplay, {JOEY}, 2000, seed=0)
    assert len(lines) > 3
    for line in lines[:3]:
        shared = nats_by_name(model, line, CPU)
        assert len(shared) == 2
        for header, nats in zip(line.headers, shared, strict=True):
            ids = torch.tensor([[*line.context, *header, *line.said]])
            weights = torch.zeros(ids.shape)
            weights[0, -len(line.said) :] = 1.0
            with torch.no_grad():
                whole = model(ids, torch.ones_like(ids), weights).sum()
            assert nats == pytest.approx(float(whole), rel=1e-4)


def test_a_model_that_knows_who_speaks_gains(toy: tuple[LearnedLoss, Screenplay]) -> None:
    model, screenplay = toy
    says = {JOEY: "The soup is cold.", "Ann": "How are you doing today?"}
    draw = random.Random(0)  # nothing but the name tells who speaks next
    names = [[draw.choice([*says]) for _ in range(4)] for _ in range(30)]
    scenes = [Scene(tuple(Turn(name, says[name]) for name in one), f"s{at}", f"e{at}") for at, one in enumerate(names)]
    lines = choose_lines(scenes, screenplay, says, 3000, seed=0)
    before = persona_gain(model, lines, CPU, None)
    assert abs(before) < 0.05
    windows = Sampler(screenplay, says).windows(scenes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        model(**collate(windows)).mean().backward()
        optimizer.step()
    assert persona_gain(model, lines, CPU, None) > before + 0.1


def test_the_training_random_state_is_not_touched(toy: tuple[LearnedLoss, Screenplay]) -> None:
    model, screenplay = toy
    model.train()
    lines = choose_lines(toy_scenes(4), screenplay, {JOEY}, 500, seed=0)
    before = torch.random.get_rng_state()
    persona_gain(model, lines, CPU, None)
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.training


def test_one_name_alone_gains_nothing(toy: tuple[LearnedLoss, Screenplay]) -> None:
    model, screenplay = toy
    scene = Scene(tuple(Turn(JOEY, f"Line {number}.") for number in range(6)), "s", "e")
    assert choose_lines([scene], screenplay, {JOEY}, 1000, seed=0) == []
    assert persona_gain(model, [], CPU, None) == 0.0


def test_without_names_all_score_alike_and_nothing_is_gained(toy: tuple[LearnedLoss, Screenplay]) -> None:
    model, screenplay = toy
    nameless = Screenplay(EOS_NAMELESS, screenplay.tokenizer)
    lines = choose_lines(toy_scenes(4), nameless, {JOEY}, 2000, seed=0)
    for line in lines[:3]:
        ids = torch.tensor([[*line.context, *line.headers[0], *line.said]])
        assert ids[0, -len(line.said) - 1] == nameless.end_id
        weights = torch.zeros(ids.shape)
        weights[0, -len(line.said) :] = 1.0
        with torch.no_grad():
            whole = float(model(ids, torch.ones_like(ids), weights).sum())
        assert nats_by_name(model, line, CPU) == pytest.approx([whole] * 2, rel=1e-4)
    assert len(lines) > 3
    assert persona_gain(model, lines, CPU, None) == pytest.approx(0, abs=1e-6)
