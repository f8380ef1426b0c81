"""Held-out conversations, what was truly said next, and true lines from elsewhere that it is to be told from."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.lines import teaches
from persona.words import words_of
from training.corpus import CorpusError

TURNS, SAME, OTHERS, GARBLED = 10, 19, 9, 9
_LONGEST = 240  # characters: a reply of 60 tokens has fewer


@dataclass(frozen=True, slots=True)
class Context:
    """Up to ten turns of a scene, and what `persona` truly `said` next.

    `same` are lines of the same speaker, `others` those of the other characters: each from another
    scene, of at most twice the length and at least half of it; first of all what others say to the
    very same turns, where that is known. `garbled` is what was said with a word
    too few, one twice, or two in the wrong order, as Sinha et al. 2020 ("Learning an Unreferenced
    Metric for Online Dialogue Evaluation") make what is no language.
    """

    episode: str
    conversation: Scene
    persona: Persona
    said: str
    same: tuple[str, ...]
    others: tuple[str, ...] = ()
    garbled: tuple[str, ...] = ()

    @property
    def replies(self) -> tuple[str, ...]:
        """Return what was said, then all that it is to be told from."""
        return (self.said, *self.same, *self.others, *self.garbled)


@dataclass(frozen=True, slots=True)
class _Place:
    scene: Scene
    at: int
    persona: Persona

    @property
    def said(self) -> str:
        return self.scene.turns[self.at].text

    @property
    def before(self) -> tuple[Turn, ...]:
        return self.scene.turns[: self.at]


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


def choose_bare_contexts(scenes: Sequence[Scene], personas: Sequence[Persona], count: int, seed: int) -> list[Context]:
    """Choose `count` contexts without any line that what was said is to be told from; fewer if there are fewer."""
    places = [one for one in _places(scenes, personas) if one.at]
    random.Random(f"{seed}:bare").shuffle(places)  # noqa: S311 - sampling, not secrets
    return [_bare(one) for one in places[:count]]


def _places(scenes: Sequence[Scene], personas: Sequence[Persona]) -> Iterator[_Place]:
    by_name = {one.name: one for one in personas}
    for scene in scenes:
        for at, turn in enumerate(scene.turns):
            if teaches(turn, by_name) and len(turn.text) <= _LONGEST:
                yield _Place(scene, at, by_name[turn.name])


def _context(place: _Place, places: Sequence[_Place], draw: random.Random) -> Context | None:
    same = _lines(place, [one for one in places if one.persona == place.persona])
    elsewhere = [one for one in places if one.persona != place.persona]
    others = _lines(place, elsewhere)
    if len(same) < SAME:
        return None
    rivals = _lines(place, [one for one in elsewhere if one.before == place.before])[:OTHERS]
    draw.shuffle(others)
    others = [*rivals, *(one for one in others if one not in rivals)]
    return replace(
        _bare(place),
        same=tuple(draw.sample(same, SAME)),
        others=tuple(others[:OTHERS]) if len(others) >= OTHERS else (),
        garbled=_garbled(place.said, draw),
    )


def _bare(place: _Place) -> Context:
    before: tuple[Turn, ...] = place.before[-TURNS:]
    return Context(place.scene.episode, Scene(before), place.persona, place.said, ())


def _lines(place: _Place, places: Sequence[_Place]) -> list[str]:
    """Return the lines of other scenes of about the length of what was said, each once and none with its words."""
    size, own = len(place.said), tuple(words_of(place.said))
    found = {
        tuple(words_of(one.said)): one.said
        for one in places
        if one.scene is not place.scene and size <= 2 * len(one.said) and len(one.said) <= 2 * size
    }
    return [text for words, text in found.items() if words != own]


def _garbled(text: str, draw: random.Random) -> tuple[str, ...]:
    """Return `text` garbled in different ways; nothing where it has too few words for so many."""
    words = text.split()
    places = range(len(words))
    made = [[*words[:at], *words[at + 1 :]] for at in places]
    made += [[*words[:at], words[at], *words[at:]] for at in places]
    made += [[*words[:at], words[at + 1], words[at], *words[at + 2 :]] for at in places[:-1]]
    different = sorted({" ".join(one) for one in made} - {" ".join(words)})
    return tuple(draw.sample(different, GARBLED)) if len(words) > 3 and len(different) >= GARBLED else ()
