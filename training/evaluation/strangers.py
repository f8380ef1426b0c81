"""What a stranger says: prompts of a person who is not in the show, and the rubric by which replies are judged."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

_FILE = "strangers.toml"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a stranger says, and the heading it stands under."""

    kind: str
    text: str


def read_prompts(file: Path | None = None) -> list[Prompt]:
    """Return the prompts in the order of the file, those of every evaluation where it is None.

    Raises OSError, ValueError, and TypeError or AttributeError for what is not headings over texts.
    """
    content = _content() if file is None else tomllib.loads(file.read_text(encoding="utf-8"))
    return [Prompt(kind, text.strip()) for kind, texts in content.items() if kind != "rubric" for text in texts]


def read_rubric() -> list[str]:
    """Return the rubric, line by line."""
    return list(_content()["rubric"])


def _content() -> dict[str, Any]:
    return tomllib.loads(files(__package__ or "training.evaluation").joinpath(_FILE).read_text(encoding="utf-8"))
