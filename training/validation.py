"""Validation inside a run: what is read, what is measured, and which checkpoint is the best.

The best checkpoint is the one with the lowest score, never the one with the lowest training loss:

    score = held-out bits per byte - persona gain + 0.2 * repetition

Bits per byte say how well it knows what is said next, persona gain how well it knows who says it,
and repetition (looked at for the untouched base, and when the other two would make a checkpoint the
best) keeps a model that runs in circles from being it. All three are written into the metrics and the card.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from persona.screenplay import Screenplay
from training.decisions import seconds_between_validations
from training.measures import LearnedLoss, read_window, total
from training.mixture import Part
from training.persona_gain import Line, choose_lines, persona_gain
from training.windows import Window

REPETITION_WEIGHT = 0.2
_TOKENS_A_SECOND = 300.0
_SHARES = {"held out": 0.4, "training": 0.2, "gain": 0.4}
_FEWEST, _MOST = 2_048, 16_384


@dataclass(frozen=True, slots=True)
class Measures:
    """What a validation found; bits are bits per byte, `corpora` those of each corpus's held-out sample."""

    bits_per_byte: float
    perplexity: float
    train_bits_per_byte: float
    persona_gain: float
    corpora: Mapping[str, float] = field(default_factory=dict)
    repetition: float | None = None

    @property
    def score(self) -> float:
        """Return the composite by which the best is chosen; lower is better."""
        return self.bits_per_byte - self.persona_gain + REPETITION_WEIGHT * (self.repetition or 0.0)

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields and the score, as they stand in a record."""
        rounded = {key: _rounded(getattr(self, key)) for key in self.__dataclass_fields__ if key != "corpora"}
        corpora = {key: round(one, 5) for key, one in self.corpora.items()}
        return rounded | {"corpora": corpora, "score": round(self.score, 5)}

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> "Measures":
        """Build them back from their plain fields."""
        return cls(**{key: fields[key] for key in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Sample:
    """What every validation of a run reads: held-out windows by corpus (the show first), training windows, lines."""

    held_out: Mapping[str, Sequence[Window]]
    training: Sequence[Window]
    lines: Sequence[Line]

    def checksum(self) -> str:
        """Return the SHA-256 of all that is read."""
        digest = hashlib.sha256()
        for name, windows in [*self.held_out.items(), ("training", self.training)]:
            digest.update(json.dumps([name, [window.ids for window in windows]]).encode())
        digest.update(json.dumps([[line.context, line.headers, line.said] for line in self.lines]).encode())
        return digest.hexdigest()


def sample_tokens(minutes: float, share: float, pass_tokens: float) -> int:
    """Return how many tokens a validation may read: a function of what is asked for, never of the clock.

    A sample that depended on the machine's speed could not be repeated. The rate that it counts on
    is that of one core; a slower machine validates less often instead.
    """
    seconds = 60 * minutes
    between = seconds_between_validations(pass_tokens / _TOKENS_A_SECOND, seconds)
    return int(min(_MOST, max(_FEWEST, share * between * _TOKENS_A_SECOND)))


def choose_sample(parts: Sequence[Part], screenplay: Screenplay, tokens: int, seed: int) -> Sample:
    """Choose a fixed random sample of about `tokens` tokens from the held-out side of every corpus."""
    budget = {name: int(share * tokens) for name, share in _SHARES.items()}
    others = max(1, len(parts) - 1)
    held_out = {}
    for number, part in enumerate(parts):
        share = 1.0 if len(parts) == 1 else 0.6 if number == 0 else 0.4 / others
        windows = part.sampler.windows(part.split.validation)
        held_out[part.name] = _some(windows, int(share * budget["held out"]), f"{seed}:{number}")
    show = parts[0]
    scenes = list(show.split.train)
    random.Random(f"{seed}:training").shuffle(scenes)  # noqa: S311 - sampling, not secrets
    taught = show.sampler.taught or show.corpus.speakers()
    return Sample(
        held_out,
        _some(show.sampler.windows(scenes[: max(8, budget["training"] // 64)]), budget["training"], f"{seed}:training"),
        choose_lines(show.split.validation, screenplay, taught, budget["gain"], seed),
    )


@dataclass(frozen=True, slots=True)
class Validator:
    """Measures a model on a run's sample."""

    model: LearnedLoss
    sample: Sample
    device: torch.device
    autocast: torch.dtype | None

    def measure(self) -> Measures:
        """Read the whole sample, teacher-forced."""
        sums = {name: total(self._read(windows)) for name, windows in self.sample.held_out.items()}
        show = next(iter(sums.values()))
        return Measures(
            show.bits_per_byte,
            show.perplexity,
            total(self._read(self.sample.training)).bits_per_byte,
            persona_gain(self.model, self.sample.lines, self.device, self.autocast),
            {name: one.bits_per_byte for name, one in sums.items()},
        )

    def _read(self, windows: Iterable[Window]) -> Iterable[Any]:
        return (read_window(self.model, window, self.device, self.autocast) for window in windows)


def _some(windows: list[Window], tokens: int, seed: str) -> list[Window]:
    """Return windows in a random order up to `tokens` tokens, one at least."""
    random.Random(seed).shuffle(windows)  # noqa: S311 - sampling, not secrets
    chosen: list[Window] = []
    for window in windows:
        if chosen and sum(map(len, chosen)) + len(window) > tokens:
            break
        chosen.append(window)
    return chosen


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
