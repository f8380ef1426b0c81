"""Sixteen replies: repeated ones are counted, and the training's random state is given back."""

from pathlib import Path

import pytest
import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_base_model, load_screenplay
from persona.characters import friends
from tests.toys import toy_llama
from training.measures import LearnedLoss
from training.rehearsal import MESSAGES, Rehearsal, Reply

CPU = torch.device("cpu")


@pytest.fixture
def rehearsal(tmp_path: Path) -> tuple[LearnedLoss, Rehearsal]:
    base = find_base(str(toy_llama(tmp_path / "base")), tmp_path)
    model = LearnedLoss(load_base_model(base, torch.float32))
    return model, Rehearsal(load_screenplay(base.folder), friends(), 128)


def test_every_message_is_answered_and_repeats_exactly(rehearsal: tuple[LearnedLoss, Rehearsal]) -> None:
    model, asked = rehearsal
    model.train()
    before = torch.random.get_rng_state()
    replies = asked.answer(model, CPU, None)
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.training
    assert [one.message for one in replies] == list(MESSAGES)
    assert {one.character for one in replies} == {one.name for one in friends()}
    torch.rand(3)
    assert asked.answer(model, CPU, None) == replies


def test_loops_and_echoes_are_repetition(rehearsal: tuple[LearnedLoss, Rehearsal]) -> None:
    _, asked = rehearsal
    own = [Reply("Joey Tribbiani", message, f"Something about number {at}.") for at, message in enumerate(MESSAGES)]
    assert asked.repetition(own) == 0.0
    parrot = [Reply(one.character, one.message, "I don't know.") for one in own]
    assert asked.repetition(parrot) == 15 / 16
    loop = [Reply(own[0].character, own[0].message, "alright, alright, alright, alright"), *own[1:]]
    assert asked.repetition(loop) == 1 / 16
