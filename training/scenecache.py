"""Scenes that were read once, kept as JSON under the checksum of what they were read from."""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona.dialogue import Scene, Turn


@dataclass(frozen=True, slots=True)
class Parsed:
    """A corpus as it was read: its scenes, whether any names its episode, and each episode's season."""

    scenes: tuple[Scene, ...]
    has_episodes: bool
    seasons: Mapping[str, str]


def read_parsed(file: Path) -> Parsed | None:
    """Return what `file` keeps, None where it is missing or damaged."""
    try:
        checksum, content = file.read_bytes().split(b"\n", 1)
        if hashlib.sha256(content).hexdigest().encode() != checksum:
            return None
        return _from_json(json.loads(content))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_parsed(file: Path, parsed: Parsed) -> None:
    """Keep `parsed` in `file`: a checksum on the first line, JSON on the second."""
    content = json.dumps(_to_json(parsed)).encode()
    keep(file, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def keep(file: Path, content: bytes) -> None:
    """Write a temporary neighbour of `file` and rename it: whole or absent, for any number of processes.

    A cache saves time only: where it cannot be written, everything works without it.
    """
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".making-", ignore_cleanup_errors=True) as folder:
            made = Path(folder) / file.name
            made.write_bytes(content)
            made.replace(file)


def _to_json(parsed: Parsed) -> dict[str, Any]:
    names = sorted({turn.name for scene in parsed.scenes for turn in scene.turns})
    number = {name: at for at, name in enumerate(names)}
    return {
        "names": names,
        "has_episodes": parsed.has_episodes,
        "seasons": dict(parsed.seasons),
        "scenes": [
            [scene.id, scene.episode, [number[turn.name] for turn in scene.turns], [turn.text for turn in scene.turns]]
            for scene in parsed.scenes
        ],
    }


def _from_json(content: Mapping[str, Any]) -> Parsed:
    names = content["names"]
    scenes = tuple(
        Scene(tuple(Turn(names[who], text) for who, text in zip(speakers, texts, strict=True)), ident, episode)
        for ident, episode, speakers, texts in content["scenes"]
    )
    return Parsed(scenes, content["has_episodes"], content["seasons"])
