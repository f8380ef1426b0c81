"""Which lines are scored and what is answered: a function of scenes, size and seed, alike for every model."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from persona.lines import teaches
from persona.words import words_of
from training.evaluation.strangers import Prompt, read_prompts

OTHERS = 19
"""Lines beside the true one, as for the hits@1 of 20 of Dinan et al. 2020 ("The Second ConvAI Challenge")."""
_LONGEST = 240  # characters: a reply of 60 tokens has fewer


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: lines scored, replies drawn, and how often a stranger says each prompt."""

    lines: int
    replies: int
    rounds: int


SAMPLE = Size(lines=150, replies=120, rounds=1)
FULL = Size(lines=1000, replies=2000, rounds=3)


@dataclass(frozen=True, slots=True)
class Line:
    """A true line of `persona`, the turns of its scene before it, and lines of the same speaker from other scenes.

    `others` are nineteen of at most twice and at least half its length; empty where there are not so many.
    """

    number: int
    episode: str
    conversation: Scene
    persona: Persona
    said: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A reply that is asked for: what `persona` says next, and what was truly `said` there, "" to a stranger.

    `kind` is "scene" or "stranger"; `episode` is the prompt's number for a stranger's, so that an interval
    resamples prompts.
    """

    kind: str
    number: int
    episode: str
    conversation: Scene
    persona: Persona
    said: str = ""

    @property
    def message(self) -> str:
        """Return what is answered."""
        return self.conversation.turns[-1].text


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an evaluation does."""

    lines: tuple[Line, ...]
    asks: tuple[Ask, ...]

    @property
    def pieces(self) -> int:
        """Return how many pieces there are."""
        return len(self.lines) + len(self.asks)


def make_plan(scenes: Sequence[Scene], personas: Sequence[Persona], size: Size, seed: int = 0) -> Plan:
    """Plan an evaluation on `scenes`, fewer lines and replies where there are not so many."""
    places = list(_places(scenes, personas))
    return Plan(
        tuple(_lines(places, size.lines, seed)),
        (*_scene_asks(places, personas, size.replies, seed), *stranger_asks(read_prompts(), personas, size.rounds)),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    scene: Scene
    at: int
    persona: Persona

    @property
    def said(self) -> str:
        return self.scene.turns[self.at].text

    @property
    def conversation(self) -> Scene:
        return Scene(self.scene.turns[: self.at], self.scene.id, self.scene.episode)


def _places(scenes: Sequence[Scene], personas: Sequence[Persona]) -> Iterator[_Place]:
    by_name = {one.name: one for one in personas}
    for scene in scenes:
        for at, turn in enumerate(scene.turns):
            if teaches(turn, by_name):
                yield _Place(scene, at, by_name[turn.name])


def _lines(places: Sequence[_Place], count: int, seed: int) -> Iterator[Line]:
    draw = random.Random(f"{seed}:lines")  # noqa: S311 - sampling, not secrets
    usable = [one for one in places if one.at and len(one.said) <= _LONGEST]
    for number, place in enumerate(draw.sample(usable, min(count, len(usable)))):
        others = _others(place, places)
        chosen = tuple(draw.sample(others, OTHERS)) if len(others) >= OTHERS else ()
        yield Line(number, place.scene.episode, place.conversation, place.persona, place.said, chosen)


def _others(place: _Place, places: Sequence[_Place]) -> list[str]:
    """Return the speaker's lines of other scenes of about this length, each once and none with the same words."""
    size, own = len(place.said), tuple(words_of(place.said))
    found = {
        tuple(words_of(one.said)): one.said
        for one in places
        if one.persona == place.persona
        and one.scene is not place.scene
        and size <= 2 * len(one.said)
        and len(one.said) <= 2 * size
    }
    return [text for words, text in found.items() if words != own]


def _scene_asks(places: Sequence[_Place], personas: Sequence[Persona], count: int, seed: int) -> Iterator[Ask]:
    """Yield contexts of all characters in turn, so that any beginning of them is balanced."""
    draw = random.Random(f"{seed}:replies")  # noqa: S311 - sampling, not secrets
    of_each = [[one for one in places if one.at and one.persona == persona] for persona in personas]
    shuffled = [draw.sample(one, len(one)) for one in of_each]
    in_turn = [one for one in chain.from_iterable(zip_longest(*shuffled)) if one]
    # Where there are too few, they are answered once more, with another seed.
    for number, place in enumerate(islice(chain(in_turn, in_turn), count)):
        yield Ask("scene", number, place.scene.episode, place.conversation, place.persona, place.said)


def stranger_asks(prompts: Sequence[Prompt], personas: Sequence[Persona], rounds: int) -> Iterator[Ask]:
    """Yield what a stranger asks, all prompts of each round in order and the characters in turn."""
    for number, prompt in enumerate([*prompts] * rounds):
        at = number % len(prompts)
        persona = personas[at % len(personas)]
        yield Ask("stranger", number, f"prompt {at}", Scene((Turn(GUEST, prompt.text),)), persona)
