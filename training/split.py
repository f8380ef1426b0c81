"""The split: whole episodes, fixed by a hash of their ids, and never otherwise."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from persona.dialogue import Scene
from training.corpus import CorpusError

Side = Literal["train", "validation", "test"]
VALIDATION_PERCENT, TEST_PERCENT = 5, 5
RULE = "SHA-256 of the episode's id modulo 100: below 5 validation, below 10 test, else training"
_EPISODES_NEEDED = 3


@dataclass(frozen=True, slots=True)
class Split:
    """The scenes of each side. No episode is on two sides."""

    train: tuple[Scene, ...]
    validation: tuple[Scene, ...]
    test: tuple[Scene, ...]

    def side(self, name: str) -> tuple[Scene, ...]:
        """Return the scenes of "train", "validation", "test", or of "all" three."""
        if name == "all":
            return self.train + self.validation + self.test
        sides = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in sides:
            raise CorpusError(f"there is no split {name!r}; choose train, validation, test or all")
        return sides[name]

    def to_card(self) -> dict[str, object]:
        """Return the rule and the held-out episodes as they stand in a card."""
        return {
            "unit": "episode",
            "rule": RULE,
            "validation": sorted({scene.episode for scene in self.validation}),
            "test": sorted({scene.episode for scene in self.test}),
        }


def split_by_episode(scenes: Sequence[Scene]) -> Split:
    """Split scenes by episode; raises CorpusError below three episodes.

    A corpus so small that the hash holds nothing out gives the episodes with the smallest hashes.
    """
    episodes = sorted({scene.episode for scene in scenes}, key=_digest)
    if len(episodes) < _EPISODES_NEEDED:
        raise CorpusError(
            f"a corpus needs at least {_EPISODES_NEEDED} episodes to hold some out, this one has {len(episodes)}"
        )
    sides = {episode: _side(episode) for episode in episodes}
    if "validation" not in sides.values():
        sides[episodes[0]] = "validation"
    if "train" not in sides.values():
        sides[episodes[-1]] = "train"
    parted: dict[str, list[Scene]] = {"train": [], "validation": [], "test": []}
    for scene in scenes:
        parted[sides[scene.episode]].append(scene)
    return Split(*(tuple(parted[side]) for side in ("train", "validation", "test")))


def _digest(episode: str) -> int:
    return int.from_bytes(hashlib.sha256(episode.encode()).digest())


def _side(episode: str) -> Side:
    place = _digest(episode) % 100
    if place < VALIDATION_PERCENT:
        return "validation"
    return "test" if place < VALIDATION_PERCENT + TEST_PERCENT else "train"
