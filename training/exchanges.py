"""Exchanges: conversations of a stranger with a character, written for training, since no script holds any.

A script teaches how six friends talk among themselves; whoever writes to a bot is none of them. The six
have exchanges of the project's own (`persona/exchanges/joey.toml` and so on), nothing of them is from
the show. A folder of one's own holds a TOML file for each persona, named by its id:

    conversations = [
      ["first message", "the character's reply", "second message", "another reply"],
    ]

`everyone.toml` beside them holds messages that several answer, each in a way of their own, by their ids:

    messages = [
      { said = "a message", joey = "Joey's reply", chandler = "Chandler's reply" },
    ]
"""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from training.corpus import Corpus, CorpusError

NAME = "exchanges"
_EVERYONE = "everyone"


def load_exchanges(folder: Path | None, personas: Sequence[Persona]) -> Corpus | None:
    """Return the exchanges of `personas` as a corpus, every conversation a scene with a guest.

    Where `folder` is None they are the project's own, and None is returned if it has none for these
    personas. Raises CorpusError for a file that is none, and for a folder without any.
    """
    place: Traversable = folder if folder is not None else files("persona") / NAME
    scenes: list[Scene] = []
    for persona in personas:
        file = place / f"{persona.id}.toml"
        if file.is_file():
            scenes += [
                _scene(persona, one, f"{persona.id}-{number:04d}", file)
                for number, one in enumerate(_listed(file, "conversations"), 1)
            ]
    if (file := place / f"{_EVERYONE}.toml").is_file():
        for number, one in enumerate(_listed(file, "messages"), 1):
            scenes += _answers(personas, one, f"{_EVERYONE}-{number:04d}", file)
    if not scenes:
        if folder is None:
            return None
        raise CorpusError(f"{folder} has no exchanges: there is no {personas[0].id}.toml in it, nor any other's")
    text = json.dumps([[scene.id, [[turn.name, turn.text] for turn in scene.turns]] for scene in scenes])
    return Corpus(NAME, hashlib.sha256(text.encode()).hexdigest(), tuple(scenes), "conversation")


def _listed(file: Traversable, key: str) -> list[Any]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")).get(key)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CorpusError(f"cannot read the exchanges in {file}: {error}") from error
    if not isinstance(found, list) or not found:
        raise CorpusError(f"{file} needs a list `{key}`")
    return found


def _answers(personas: Sequence[Persona], message: object, name: str, file: Traversable) -> list[Scene]:
    """Return a scene for each of `personas` that answers `message`; they are one episode, held out together or not."""
    if not isinstance(message, dict) or "said" not in message:
        raise CorpusError(f"message {name} in {file} must be a table with what was `said` and the replies")
    scenes = [
        _scene(persona, [message["said"], message[persona.id]], f"{name}-{persona.id}", file)
        for persona in personas
        if persona.id in message
    ]
    return [dataclasses.replace(scene, episode=name) for scene in scenes]


def _scene(persona: Persona, lines: object, name: str, file: Traversable) -> Scene:
    texts = [one.strip() for one in lines if isinstance(one, str)] if isinstance(lines, list) else []
    if not texts or len(texts) % 2 or not all(texts) or len(texts) != len(lines):  # type: ignore[arg-type]
        raise CorpusError(
            f"conversation {name} in {file} must be a list of texts, a stranger's and {persona.name}'s in turn"
        )
    turns = (Turn((GUEST, persona.name)[at % 2], text) for at, text in enumerate(texts))
    return Scene(tuple(turns), name, name)
