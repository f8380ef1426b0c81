"""`echochamber compare`: held-out bits per byte of a checkpoint beside its untouched base's, or another checkpoint's.

Both read the same lines of the same held-out episodes, each in the format it was taught; the
interval is a paired bootstrap over episodes.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bot.engine.bases import BaseError
from bot.engine.checkpoints import CheckpointError, choose_device
from bot.engine.precision import choose_precision
from bot.engine.shipped import checkpoint_folder
from persona.card import CardError, read_card
from persona.dialogue import Scene
from persona.screenplay import FormatError
from training.corpus import CorpusError, load_corpus
from training.held_out import HeldOut, choose_held_out
from training.measures import LearnedLoss, Sums, by_episode, read_window
from training.readings import Ratio, Reading, ReadingError, plain, ratio
from training.samples import Sampler
from training.subjects import Subject, base_of, checkpoint, untouched
from training.windows import Window

UNTOUCHED = "untouched base"
Step = Callable[[int, int], None]


class CompareError(RuntimeError):
    """A checkpoint or corpus that cannot be measured, in one sentence."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be measured: `model` beside its base, or beside the checkpoint `against`.

    `split` is "validation", "test", "left-out" or "all"; `scenes` is how many of its scenes are read, None all.
    """

    model: Path
    corpus: str
    cache: Path
    split: str = "validation"
    device: str = "auto"
    scenes: int | None = None
    against: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the checkpoint and the one beside it read; `ratio` is its bits per byte divided by the other's.

    `against` names the other checkpoint and is None for the untouched base; `title` says what was read.
    """

    title: str
    replies: int
    ours: Reading
    theirs: Reading
    ratio: Ratio
    against: str | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields, nats by episode included."""
        other = "base" if self.against is None else "against"
        return self.ours.to_mapping() | {
            "title": self.title,
            "episodes": len(self.ours.by_episode),
            "replies": self.replies,
            "bits_per_byte": self.ours.total.bits_per_byte,
            "perplexity": self.ours.total.perplexity,
            "against": self.against or UNTOUCHED,
            f"{other}_bits_per_byte": self.theirs.total.bits_per_byte,
            f"{other}_perplexity": self.theirs.total.perplexity,
            f"{other}_by_episode": plain(self.theirs.by_episode),
            "ratio": self.ratio.value,
            "ratio_low": self.ratio.low,
            "ratio_high": self.ratio.high,
        }


def _silent(done: int, of: int) -> None:
    return


def compare(question: Question, step: Step = _silent) -> Answer:
    """Measure a checkpoint; `step` is told how many windows are read. Raises CompareError."""
    try:
        return _compare(question, step)
    except (BaseError, CardError, CheckpointError, CorpusError, FormatError, ReadingError) as error:
        raise CompareError(str(error)) from error


def _compare(question: Question, step: Step) -> Answer:
    folders = [checkpoint_folder(one) for one in (question.model, question.against) if one]
    cards = [read_card(folder) for folder in folders]
    corpus = load_corpus(question.corpus, question.cache)
    held_out = choose_held_out(corpus, question.split, cards).sample(question.scenes)
    subjects = [checkpoint(folder, question.cache) for folder in folders]
    if question.against is None:
        subjects.append(untouched(base_of(cards[0].base, question.cache), cards[0].format))
    measuring = Measuring(held_out, subjects, choose_device(question.device), question.cache)
    ours, theirs = measuring.read(step)
    replies = measuring.replies
    return Answer(
        held_out.title(replies, len(ours.by_episode)),
        replies,
        ours,
        theirs,
        ratio(ours, theirs),
        str(question.against) if question.against else None,
    )


class Measuring:
    """Reads the same lines with each of `subjects`, one model in memory at a time; raises CorpusError for no line."""

    def __init__(self, held_out: HeldOut, subjects: Sequence[Subject], device: torch.device, cache: Path) -> None:
        self.held_out, self.subjects, self.device = held_out, subjects, device
        dtype = choose_precision(device, cache).dtype
        self._autocast = None if dtype is torch.float32 else dtype
        scenes = [_fitting(scene, subjects) for scene in held_out.scenes]
        self._plans = [Sampler(one.screenplay, held_out.taught, window=one.window).windows(scenes) for one in subjects]
        if not all(self._plans):
            where = f"{held_out.side} {held_out.corpus.unit}s of {held_out.corpus.name}"
            raise CorpusError(f"there is no line of {held_out.who} to be measured in the {where}")

    @property
    def replies(self) -> int:
        """Return how many lines count."""
        return sum(window.replies for window in self._plans[0])

    def read(self, step: Step = _silent) -> list[Reading]:
        """Return a reading for each subject."""
        done, of = itertools.count(1), sum(map(len, self._plans))
        held_out = self.held_out
        about = held_out.corpus.name, held_out.corpus.sha256, held_out.side, held_out.who
        return [
            Reading(*about, by_episode(self._sums(subject, plan, lambda: step(next(done), of))))
            for subject, plan in zip(self.subjects, self._plans, strict=True)
        ]

    def _sums(
        self, subject: Subject, windows: Sequence[Window], read: Callable[[], None]
    ) -> Iterator[tuple[Window, Sums]]:
        loss = LearnedLoss(subject.load()).to(self.device)
        for window in windows:
            yield window, read_window(loss, window, self.device, self._autocast)
            read()


def _fitting(scene: Scene, subjects: Sequence[Subject]) -> Scene:
    """Return the scene without speeches that are longer than one of the subjects' windows: no model learns those."""
    turns = (turn for turn in scene.turns if all(one.fits(turn) for one in subjects))
    return Scene(tuple(turns), scene.id, scene.episode)
