"""Held-out conversations, what was truly said next, and true lines from elsewhere that it is to be told from."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.lines import teaches
from persona.words import words_of
from training.corpus import CorpusError

TURNS, SAME, OTHERS = 10, 19, 9
_LONGEST = 240  # characters: a reply of 60 tokens has fewer


@dataclass(frozen=True, slots=True)
class Context:
    """Up to ten turns of a scene, and what `persona` truly `said` next.

    `same` are lines of the same speaker, `others` those of the other characters: each from another
    scene, of at most twice the length and at least half of it.
    """

    episode: str
    conversation: Scene
    persona: Persona
    said: str
    same: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def replies(self) -> tuple[str, ...]:
        """Return what was said, then the same speaker's lines, then the others'."""
        return (self.said, *self.same, *self.others)


@dataclass(frozen=True, slots=True)
class _Place:
    scene: Scene
    at: int
    persona: Persona

    @property
    def said(self) -> str:
        return self.scene.turns[self.at].text


def choose_contexts(scenes: Sequence[Scene], personas: Sequence[Persona], count: int, seed: int) -> list[Context]:
    """Choose `count` contexts in which one of `personas` speaks, fewer where there are not so many.

    A function of its arguments. Raises CorpusError where no line has nineteen of its length beside it.
    """
    draw = random.Random(f"{seed}:contexts")  # noqa: S311 - sampling, not secrets
    places = list(_places(scenes, personas))
    draw.shuffle(places)
    chosen: list[Context] = []
    for place in places:
        if place.at and len(chosen) < count and (context := _context(place, places, draw)):
            chosen.append(context)
    if not chosen:
        raise CorpusError(f"no character has {SAME + 1} lines of about one length in the held-out scenes")
    return chosen


def _places(scenes: Sequence[Scene], personas: Sequence[Persona]) -> Iterator[_Place]:
    by_name = {one.name: one for one in personas}
    for scene in scenes:
        for at, turn in enumerate(scene.turns):
            if teaches(turn, by_name) and len(turn.text) <= _LONGEST:
                yield _Place(scene, at, by_name[turn.name])


def _context(place: _Place, places: Sequence[_Place], draw: random.Random) -> Context | None:
    same = _lines(place, [one for one in places if one.persona == place.persona])
    others = _lines(place, [one for one in places if one.persona != place.persona])
    if len(same) < SAME:
        return None
    before: tuple[Turn, ...] = place.scene.turns[max(0, place.at - TURNS) : place.at]
    return Context(
        place.scene.episode,
        Scene(before),
        place.persona,
        place.said,
        tuple(draw.sample(same, SAME)),
        tuple(draw.sample(others, OTHERS)) if len(others) >= OTHERS else (),
    )


def _lines(place: _Place, places: Sequence[_Place]) -> list[str]:
    """Return the lines of other scenes of about the length of what was said, each once and none with its words."""
    size, own = len(place.said), tuple(words_of(place.said))
    found = {
        tuple(words_of(one.said)): one.said
        for one in places
        if one.scene is not place.scene and size <= 2 * len(one.said) and len(one.said) <= 2 * size
    }
    return [text for words, text in found.items() if words != own]
