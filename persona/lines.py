"""Corpus-side filter: which transcript turns teach which character."""

import re
from collections.abc import Collection

from persona.dialogue import Scene, Turn

_NOTE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_REPEATED = re.compile(r"\b(\w+(?:\W+\w+){0,3})(?:\W+\1\b){3,}", re.IGNORECASE)


def spoken(text: str) -> str:
    """Return what is said aloud: action notes in any brackets, nested ones too, are cut out."""
    before = None
    while before != text:
        before, text = text, _NOTE.sub(" ", text)
    return " ".join(text.split())


def merge_runs(scene: Scene) -> Scene:
    """Join neighbouring turns of one speaker and drop turns in which nothing is said."""
    merged: list[Turn] = []
    for turn in scene.turns:
        if not turn.text:
            continue
        if merged and merged[-1].name == turn.name:
            merged[-1] = Turn(turn.name, f"{merged[-1].text} {turn.text}")
        else:
            merged.append(turn)
    return Scene(tuple(merged), scene.id, scene.episode)


def teaches(turn: Turn, taught: Collection[str]) -> bool:
    """Say whether `turn` is learned: a taught character's line that is made of words and is no loop.

    A line that says the same one to four words four times in a row ("no no no no") stays in the
    scene, but a model that learns such lines falls into loops.
    """
    return turn.name in taught and any(char.isalpha() for char in turn.text) and not _REPEATED.search(turn.text)
