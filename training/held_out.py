"""Which lines a measurement asks for: what was held out, and whose lines count, as the checkpoints' cards say."""

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from persona.card import Card
from persona.dialogue import Scene
from persona.lines import teaches
from training.corpus import Corpus, CorpusError
from training.split import split_scenes
from training.words import counted, joined

SIDES = ("validation", "test", "left-out", "all")
_SEED = 0


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Scenes of one side of a corpus. The lines of `taught` count in them, everybody's where it is None.

    `note` is what people should know about the choice, "" where there is nothing to say.
    """

    corpus: Corpus
    side: str
    scenes: tuple[Scene, ...]
    taught: frozenset[str] | None
    note: str = ""

    @property
    def who(self) -> str:
        """Return whose lines count, in words."""
        return "everybody" if self.taught is None else joined(sorted(self.taught))

    def title(self, replies: int, episodes: int) -> str:
        """Return what was read, in words."""
        units = counted(episodes, self.corpus.unit if self.side == "all" else f"{self.side} {self.corpus.unit}")
        return f"{self.corpus.name}: {replies:,} replies of {self.who} in {units}{self.note}"

    def sample(self, count: int | None) -> "HeldOut":
        """Return a fixed random choice of `count` scenes in which a line counts; all of them where it is None.

        Scenes, not windows: they are the same for every tokenizer.
        """
        speaking = [scene for scene in self.scenes if _counts(scene, self.taught)]
        if count is None or count >= len(speaking):
            return dataclasses.replace(self, scenes=tuple(speaking))
        drawn = sorted(random.Random(_SEED).sample(range(len(speaking)), count))  # noqa: S311 - sampling, not secrets
        note = f"{self.note}, {count} of {len(speaking)} scenes drawn at random"
        return dataclasses.replace(self, scenes=tuple(speaking[at] for at in drawn), note=note)


def choose_held_out(corpus: Corpus, side: str, cards: Sequence[Card]) -> HeldOut:
    """Choose what a comparison of the checkpoints of `cards`, the one in question first, is measured on.

    The first card that knows the corpus says what is held out and whose lines count. Where none
    does, the rule of the split decides, and the characters' lines count if they speak there at all.
    What another card's checkpoint learned from is left out but for the side "all". Raises CorpusError.
    """
    if side not in SIDES:
        raise CorpusError(f"there is no split {side!r} to measure; choose {', '.join(SIDES[:-1])} or {SIDES[-1]}")
    known = [(card, entry) for card in cards if (entry := _entry(card, corpus)) is not None]
    if not known:
        taught = _names(cards[0]) & corpus.speakers()
        scenes = corpus.scenes if side == "all" else _of_side(corpus, _sides(corpus, {}), side)
        return HeldOut(corpus, side, scenes, taught or None, ", a corpus that its card does not know")
    card, entry = known[0]
    scenes = _of_side(corpus, _sides(corpus, _split(card, entry)), side)
    for other, others in known[1:] if side != "all" else ():
        unlearned = set().union(*_sides(corpus, _split(other, others)).values())
        scenes = tuple(scene for scene in scenes if scene.episode in unlearned)
    return HeldOut(corpus, side, scenes, None if entry.get("taught") == "everybody" else _names(card))


def learned_scenes(corpus: Corpus, card: Card) -> tuple[Scene, ...]:
    """Return the scenes of a corpus that a checkpoint learned from: those on no held-out side of its card."""
    entry = _entry(card, corpus)
    held_out = set().union(*_sides(corpus, _split(card, entry) if entry else {}).values())
    return tuple(scene for scene in corpus.scenes if scene.episode not in held_out)


def _entry(card: Card, corpus: Corpus) -> Mapping[str, Any] | None:
    entries = (one for one in card.data if isinstance(one, Mapping))
    return next((one for one in entries if one.get("sha256") == corpus.sha256), None)


def _split(card: Card, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the split of a corpus; cards of one corpus once had it beside the data."""
    found = entry.get("split", card.split)
    return found if isinstance(found, Mapping) else {}


def _sides(corpus: Corpus, split: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the episodes of each held-out side: those listed, or by the rule where they were only counted."""
    left_out = split.get("left_out")
    asked = left_out.get("asked") if isinstance(left_out, Mapping) else None
    by_rule = split_scenes(corpus, [str(one) for one in asked] if isinstance(asked, list) else ())
    sides = {
        "validation": {scene.episode for scene in by_rule.validation},
        "test": {scene.episode for scene in by_rule.test},
        "left-out": {scene.episode for scene in by_rule.left_out},
    }
    return sides | {side: set(map(str, ids)) for side in sides if isinstance(ids := split.get(side), list)}


def _of_side(corpus: Corpus, sides: Mapping[str, set[str]], side: str) -> tuple[Scene, ...]:
    if side == "all":
        return tuple(scene for scene in corpus.scenes if scene.episode not in sides["left-out"])
    return tuple(scene for scene in corpus.scenes if scene.episode in sides[side])


def _names(card: Card) -> frozenset[str]:
    return frozenset(one.name for one in card.characters)


def _counts(scene: Scene, taught: frozenset[str] | None) -> bool:
    return any(teaches(turn, (turn.name,) if taught is None else taught) for turn in scene.turns)
