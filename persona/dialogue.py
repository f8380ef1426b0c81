"""Turns and scenes: a script line of 1994 and a chat message of today are the same thing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing one speaker says. `name` is the speaker as it stands in the screenplay."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Turns in the order they were said.

    `id` and `episode` say where a scene of a corpus comes from; `episode` is the unit of every
    split, so no episode is ever on both sides of one. A chat's scene leaves both empty.
    """

    turns: tuple[Turn, ...]
    id: str = ""
    episode: str = ""
