"""A checkpoint of random weights for `--quick`: everything runs, and no figure means anything."""

import json
from pathlib import Path

from bot.engine.bases import find_base
from persona.card import Card
from persona.characters import friends
from tests.toys import toy_llama

_POSITIONS = 2048


def toy_checkpoint(folder: Path) -> Path:
    """Write a small Llama with all its weights, its card and room for long prompts; return its folder."""
    model = toy_llama(folder / "toy")
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (model / "config.json").write_text(json.dumps(config | {"max_position_embeddings": _POSITIONS}), encoding="utf-8")
    Card(find_base(str(model), folder).card, "chatml", "full", friends()).write(model)
    return model
