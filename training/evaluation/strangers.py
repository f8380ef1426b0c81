"""What a stranger says: prompts of a person who is not in the show, and the rubric by which replies are judged."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

_FILE = "strangers.toml"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a stranger says, and the heading it stands under."""

    kind: str
    text: str


def read_prompts() -> list[Prompt]:
    """Return the prompts in the order of the file."""
    return [Prompt(kind, text) for kind, texts in _content().items() if kind != "rubric" for text in texts]


def read_rubric() -> list[str]:
    """Return the rubric, line by line."""
    return list(_content()["rubric"])


def _content() -> dict[str, Any]:
    return tomllib.loads(files(__package__ or "training.evaluation").joinpath(_FILE).read_text(encoding="utf-8"))
