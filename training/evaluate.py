"""`echochamber evaluate`: held-out bits per byte of a checkpoint beside its untouched base's.

Both read the same windows of the same held-out episodes in the same format; the interval is a
paired bootstrap over episodes.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bot.engine.bases import Base, BaseError, find_base
from bot.engine.checkpoints import (
    CheckpointError,
    choose_device,
    load_base_model,
    load_screenplay,
    merged,
)
from bot.engine.precision import choose_precision
from bot.engine.shipped import checkpoint_folder
from persona.card import Card, CardError, read_card
from persona.screenplay import FormatError
from training.corpus import Corpus, CorpusError, load_corpus
from training.measures import LearnedLoss, Sums, bootstrap_ratio, by_episode, read_window, total
from training.samples import Sampler, Window, window_of
from training.split import split_by_episode

SPLITS = ("validation", "test", "all")


class EvaluationError(RuntimeError):
    """A checkpoint or corpus that cannot be measured, in one sentence."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be measured. `split` is "validation", "test" or "all"."""

    model: Path
    corpus: str
    cache: Path
    split: str = "validation"
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Answer:
    """Bits per byte and perplexity of the checkpoint and its base; `ratio` is ours to the base's."""

    split: str
    episodes: int
    replies: int
    bits_per_byte: float
    perplexity: float
    base_bits_per_byte: float
    base_perplexity: float
    ratio: float
    ratio_low: float
    ratio_high: float

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields."""
        return asdict(self)


Step = Callable[[int, int], None]


def evaluate(question: Question, step: Step = lambda done, of: None) -> Answer:
    """Measure a checkpoint; `step` is told how many windows are read. Raises EvaluationError."""
    try:
        return _evaluate(question, step)
    except (BaseError, CardError, CheckpointError, CorpusError, FormatError) as error:
        raise EvaluationError(str(error)) from error


def _evaluate(question: Question, step: Step) -> Answer:
    if question.split not in SPLITS:
        raise CorpusError(f"there is no split {question.split!r} to measure; choose validation, test or all")
    folder = checkpoint_folder(question.model)
    card = read_card(folder)
    corpus = load_corpus(question.corpus, question.cache)
    base = find_base(card.base.name, question.cache)
    if card.kind == "adapter" and base.card.sha256 != card.base.sha256:
        raise CheckpointError(f"the adapter in {folder} belongs to another base than the one here")
    untouched = load_base_model(base, torch.float32)
    sampler = Sampler(
        load_screenplay(base.folder, card.format),
        {one.name for one in card.characters},
        window=window_of(untouched.config),
    )
    windows = _held_out(corpus, card, question.split, sampler)
    device = choose_device(question.device)
    reading = _Reading(windows, device, _autocast(device, question.cache), step)
    theirs = by_episode(reading.read(untouched, 0))
    ours = by_episode(reading.read(_taught(card, folder, base.folder), len(windows)))
    low, high = bootstrap_ratio(ours, theirs)
    mine, others = total(ours.values()), total(theirs.values())
    return Answer(
        split=question.split,
        episodes=len(ours),
        replies=sum(window.replies for window in windows),
        bits_per_byte=mine.bits_per_byte,
        perplexity=mine.perplexity,
        base_bits_per_byte=others.bits_per_byte,
        base_perplexity=others.perplexity,
        ratio=mine.bits_per_byte / others.bits_per_byte,
        ratio_low=low,
        ratio_high=high,
    )


def _held_out(corpus: Corpus, card: Card, side: str, sampler: Sampler) -> list[Window]:
    """Return the windows of the side asked for, held out by the card where it knows this corpus."""
    if side == "all":
        scenes = corpus.scenes
    elif any(one.get("sha256") == corpus.sha256 for one in card.data):
        wanted = set(card.split.get(side, ()))
        scenes = tuple(scene for scene in corpus.scenes if scene.episode in wanted)
    else:
        scenes = split_by_episode(corpus.scenes).side(side)
    windows = sampler.windows(scenes)
    if not windows:
        raise CorpusError(f"the characters of this checkpoint say nothing in the {side} episodes of {corpus.name}")
    return windows


def _taught(card: Card, folder: Path, base: Path) -> Any:
    source = folder if card.kind == "full" else base
    model = load_base_model(Base(card.base, source), torch.float32)
    return model if card.kind == "full" else merged(model, folder)


def _autocast(device: torch.device, cache: Path) -> torch.dtype | None:
    dtype = choose_precision(device, cache).dtype
    return None if dtype is torch.float32 else dtype


@dataclass(frozen=True, slots=True)
class _Reading:
    windows: list[Window]
    device: torch.device
    autocast: torch.dtype | None
    step: Step

    def read(self, model: Any, done: int) -> Iterable[tuple[Window, Sums]]:
        loss = LearnedLoss(model).to(self.device)
        for number, window in enumerate(self.windows, start=done + 1):
            yield window, read_window(loss, window, self.device, self.autocast)
            self.step(number, 2 * len(self.windows))
