"""The split: whole episodes, fixed by a hash of their ids, and never otherwise."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from persona.dialogue import Scene
from training.corpus import Corpus, CorpusError, Unit

Side = Literal["train", "validation", "test"]
VALIDATION_PERCENT, TEST_PERCENT = 5, 5
RULE = "SHA-256 of the {unit}'s id modulo 100: below 5 validation, below 10 test, else training"
LISTED = 2000  # a card names the held-out units up to this number; the rule gives them in any case
_NEEDED = 3
_EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class Split:
    """The scenes of each side. No episode (or conversation, see `unit`) is on two sides.

    `left_out` are on no side, because `asked` ("season=s10") said so.
    """

    train: tuple[Scene, ...]
    validation: tuple[Scene, ...]
    test: tuple[Scene, ...]
    left_out: tuple[Scene, ...] = ()
    asked: tuple[str, ...] = ()
    unit: Unit = "episode"

    def side(self, name: str) -> tuple[Scene, ...]:
        """Return the scenes of "train", "validation", "test", or of "all" three."""
        if name == "all":
            return self.train + self.validation + self.test
        sides = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in sides:
            raise CorpusError(f"there is no split {name!r}; choose train, validation, test or all")
        return sides[name]

    def to_card(self) -> dict[str, object]:
        """Return the rule and what is held out, as they stand in a card.

        Beyond 2,000 held-out ids their number stands in the place of each list.
        """
        held_out = {side: sorted({scene.episode for scene in self.side(side)}) for side in ("validation", "test")}
        listed = sum(map(len, held_out.values())) <= LISTED
        return {
            "unit": self.unit,
            "rule": RULE.format(unit=self.unit),
            **{side: ids if listed else len(ids) for side, ids in held_out.items()},
            "left_out": {"asked": list(self.asked), "scenes": len(self.left_out)},
        }


def split_scenes(corpus: Corpus, leave_out: Sequence[str] = ()) -> Split:
    """Split a corpus; raises CorpusError below three episodes, or where `leave_out` names nothing in it.

    Each item of `leave_out` is "season=..." or "episode=...". What is left out is on no side; the
    hash keeps every other episode where it would have been.
    """
    gone = {episode for item in leave_out for episode in _named(corpus, item)}
    sides = _sides([scene for scene in corpus.scenes if scene.episode not in gone], corpus.unit)
    left_out = tuple(scene for scene in corpus.scenes if scene.episode in gone)
    return Split(*sides, left_out, tuple(leave_out), corpus.unit)


def split_by_episode(scenes: Sequence[Scene]) -> Split:
    """Split scenes by episode; raises CorpusError below three episodes."""
    return Split(*_sides(scenes, "episode"))


def _sides(scenes: Sequence[Scene], unit: Unit) -> tuple[tuple[Scene, ...], tuple[Scene, ...], tuple[Scene, ...]]:
    """Return the scenes of training, validation and test.

    A corpus so small that the hash holds nothing out gives the episodes with the smallest hashes.
    """
    episodes = sorted({scene.episode for scene in scenes}, key=_digest)
    if len(episodes) < _NEEDED:
        raise CorpusError(f"a corpus needs at least {_NEEDED} {unit}s to hold some out, this one has {len(episodes)}")
    sides = {episode: _side(episode) for episode in episodes}
    if "validation" not in sides.values():
        sides[episodes[0]] = "validation"
    if "train" not in sides.values():
        sides[episodes[-1]] = "train"
    parted: dict[str, list[Scene]] = {"train": [], "validation": [], "test": []}
    for scene in scenes:
        parted[sides[scene.episode]].append(scene)
    return tuple(parted["train"]), tuple(parted["validation"]), tuple(parted["test"])


def _named(corpus: Corpus, item: str) -> set[str]:
    """Return the episodes that `item` leaves out, at least one."""
    what, _, wanted = item.partition("=")
    if what not in ("season", "episode") or not wanted:
        raise CorpusError(f"cannot leave out {item!r}: write season=NAME or episode=ID")
    episodes = {scene.episode for scene in corpus.scenes}
    values: Mapping[str, str] = corpus.seasons if what == "season" else {one: one for one in episodes}
    found = {episode for episode in episodes if values.get(episode) == wanted}
    if not found:
        known = sorted({values.get(episode, "") for episode in episodes} - {""})
        raise CorpusError(f"cannot leave out {item!r}: {_known(what, known, corpus.name)}")
    return found


def _known(what: str, known: Sequence[str], name: str) -> str:
    if not known:
        return f"{name} does not say which {what} a scene is from"
    more = f" and {len(known) - _EXAMPLES} more" if len(known) > _EXAMPLES else ""
    return f"the {what}s of {name} are {', '.join(known[:_EXAMPLES])}{more}"


def _digest(episode: str) -> int:
    return int.from_bytes(hashlib.sha256(episode.encode()).digest())


def _side(episode: str) -> Side:
    place = _digest(episode) % 100
    if place < VALIDATION_PERCENT:
        return "validation"
    return "test" if place < VALIDATION_PERCENT + TEST_PERCENT else "train"
