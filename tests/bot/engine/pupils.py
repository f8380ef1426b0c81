"""Toy models that were taught one reply, ready for the engine."""

from pathlib import Path

import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import LoadedCheckpoint, load_base_model, load_screenplay
from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn
from tests.toys import toy_gpt2, toy_llama

JOEY = find_persona("joey", friends())
SCENE = Scene(
    (Turn("Guest", "I am fine, thank you."), Turn(JOEY.name, "Hello!"), Turn("Guest", "what about the soup?"))
)
REPLY = "The soup is cold: 12 spoons, how are you?"
MAKERS = {"gpt2": toy_gpt2, "llama": toy_llama}


def untaught(kind: str, folder: Path) -> LoadedCheckpoint:
    """Load a toy of random weights, in fp32 on the CPU."""
    base = find_base(str(MAKERS[kind](folder / kind)), folder / "cache")
    model = load_base_model(base, torch.float32).eval()
    return LoadedCheckpoint(model, torch.device("cpu"), load_screenplay(base.folder), friends(), kind)


def taught(kind: str, folder: Path, said: list[int] | None = None) -> LoadedCheckpoint:
    """Load a toy and teach it to answer SCENE with the ids `said`, REPLY where not given."""
    pupil = untaught(kind, folder)
    prompt = pupil.screenplay.prompt(SCENE.turns, JOEY.name, 90)
    reply = pupil.screenplay.said(REPLY) if said is None else said
    ids = torch.tensor([prompt + reply])
    labels = torch.tensor([[-100] * len(prompt) + reply])
    optimizer = torch.optim.Adam(pupil.model.parameters(), lr=1e-2)
    pupil.model.train()
    for _ in range(60):
        optimizer.zero_grad()
        pupil.model(ids, attention_mask=torch.ones_like(ids), labels=labels).loss.backward()
        optimizer.step()
    pupil.model.eval()
    return pupil
