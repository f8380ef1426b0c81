"""What a model read, kept by episode: two readings of the same lines can be compared at any later time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from training.measures import Sums, bootstrap_ratio, total


class ReadingError(ValueError):
    """Readings that cannot be read back or compared, in one sentence."""


class Ratio(NamedTuple):
    """Bits per byte of one model divided by another's, with the 95 % interval of a paired bootstrap over episodes."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The sums of one model by episode (by conversation where the corpus has no episodes).

    `sha256` is the corpus's, `split` the side that was read, `measured` says whose lines count.
    """

    corpus: str
    sha256: str
    split: str
    measured: str
    by_episode: Mapping[str, Sums]

    @property
    def total(self) -> Sums:
        """Return the sums over all episodes."""
        return total(self.by_episode.values())

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields; an episode's are its nats, learned tokens and bytes."""
        return {
            "corpus": self.corpus,
            "sha256": self.sha256,
            "split": self.split,
            "measured": self.measured,
            "by_episode": plain(self.by_episode),
        }


def plain(by_episode: Mapping[str, Sums]) -> dict[str, list[float]]:
    """Return each episode's nats, learned tokens and bytes, as they stand in JSON."""
    return {episode: [one.nats, one.tokens, one.size] for episode, one in by_episode.items()}


def read_reading(file: Path) -> Reading:
    """Read a reading, or the model's own out of what `echochamber compare --json` wrote; raises ReadingError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        corpus, sha256, split, measured = (str(content[key]) for key in ("corpus", "sha256", "split", "measured"))
        sums = {
            str(episode): Sums(float(nats), int(tokens), int(size))
            for episode, (nats, tokens, size) in content["by_episode"].items()
        }
    except OSError as error:
        raise ReadingError(f"cannot read {file}: {error.strerror or error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReadingError(f"{file} holds no measures by episode: write it with 'compare --json'") from error
    return Reading(corpus, sha256, split, measured, sums)


def ratio(ours: Reading, theirs: Reading) -> Ratio:
    """Compare two readings of the same lines; raises ReadingError where they are of others."""
    if ours.sha256 != theirs.sha256 or _bytes(ours) != _bytes(theirs):
        raise ReadingError(
            f"the two models were not asked the same lines: {ours.measured} in the {ours.split} side of {ours.corpus}, "
            f"{theirs.measured} in the {theirs.split} side of {theirs.corpus}"
        )
    low, high = bootstrap_ratio(ours.by_episode, theirs.by_episode)
    return Ratio(ours.total.bits_per_byte / theirs.total.bits_per_byte, low, high)


def ratio_of_files(ours: Path, theirs: Path) -> Ratio:
    """Compare the models of two files of `echochamber compare --json`; raises ReadingError."""
    return ratio(read_reading(ours), read_reading(theirs))


def _bytes(reading: Reading) -> dict[str, int]:
    return {episode: one.size for episode, one in reading.by_episode.items()}
