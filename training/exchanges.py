"""Exchanges: conversations of a stranger with a character, written for training, since no script holds any.

A script teaches how six friends talk among themselves; whoever writes to a bot is none of them. The six
have exchanges of the project's own (`persona/exchanges/joey.toml` and so on), nothing of them is from
the show. A folder of one's own holds a TOML file for each persona, named by its id:

    conversations = [
      ["first message", "the character's reply", "second message", "another reply"],
    ]
"""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from training.corpus import Corpus, CorpusError

NAME = "exchanges"


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
            scenes += _scenes(persona, file)
    if not scenes:
        if folder is None:
            return None
        raise CorpusError(f"{folder} has no exchanges: there is no {personas[0].id}.toml in it, nor any other's")
    text = json.dumps([[scene.id, [[turn.name, turn.text] for turn in scene.turns]] for scene in scenes])
    return Corpus(NAME, hashlib.sha256(text.encode()).hexdigest(), tuple(scenes), "conversation")


def _scenes(persona: Persona, file: Traversable) -> list[Scene]:
    try:
        conversations = tomllib.loads(file.read_text(encoding="utf-8")).get("conversations")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CorpusError(f"cannot read the exchanges in {file}: {error}") from error
    if not isinstance(conversations, list) or not conversations:
        raise CorpusError(f"{file} needs a list `conversations`")
    return [_scene(persona, one, f"{persona.id}-{number:04d}", file) for number, one in enumerate(conversations, 1)]


def _scene(persona: Persona, lines: object, name: str, file: Traversable) -> Scene:
    texts = [one.strip() for one in lines if isinstance(one, str)] if isinstance(lines, list) else []
    if not texts or len(texts) % 2 or not all(texts) or len(texts) != len(lines):  # type: ignore[arg-type]
        raise CorpusError(
            f"conversation {name} in {file} must be a list of texts, a stranger's and {persona.name}'s in turn"
        )
    turns = (Turn((GUEST, persona.name)[at % 2], text) for at, text in enumerate(texts))
    return Scene(tuple(turns), name, name)
