"""The best checkpoint of a run, which the bot serves and `echochamber evaluate` measures in its own format."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.copied_recipe.held_out import Line, bits_per_byte, screenplay_of
from bench.copied_recipe.recipe import BATCH, LEARNING_RATE
from bench.copied_recipe.states import Progress
from bot.engine.bases import Base
from persona.card import Card, CardError, read_card
from persona.characters import friends
from persona.screenplay import EOS_NAMELESS
from training.checkpoints import sync
from training.corpus import Corpus
from training.export import Exporter
from training.report.modelcard import FILE_NAME as MODEL_CARD
from training.split import Split

MEASURE = "validation_bits_per_byte"


class Best:
    """The best so far, in `folder`, by what a byte of `lines` costs; whole or absent whatever happens."""

    def __init__(self, folder: Path, exporter: Exporter, lines: Sequence[Line]) -> None:
        self._folder, self._exporter, self._lines = folder, exporter, lines
        self._before = folder.with_name(f".{folder.name}-before")
        if self._before.exists() and not folder.exists():
            self._before.rename(folder)
        self.figure, self.step = _known(folder)

    def offer(self, model: Any, progress: Progress) -> float:
        """Return the bits per byte; where no earlier figure was as low, keep the model."""
        figure = bits_per_byte(model, self._lines, lambda line: screenplay_of(line, self._exporter.screenplay))
        if figure < self.figure:
            self.figure, self.step = figure, progress.step
            self._replace(model, progress)
        return figure

    def _replace(self, model: Any, progress: Progress) -> None:
        new = self._folder.with_name(f".{self._folder.name}-new")
        minutes = round(progress.seconds / 60, 2)
        spent = {"steps": progress.step, "minutes": minutes, "tokens_read": progress.tokens}
        measures = {"split": "validation", "lines": len(self._lines), MEASURE: self.figure}
        self._exporter.write(model, new, spent, measures)
        (new / MODEL_CARD).unlink()  # it says how to talk to a model that knows names
        sync(new)
        shutil.rmtree(self._before, ignore_errors=True)
        if self._folder.exists():
            self._folder.rename(self._before)
        new.rename(self._folder)
        shutil.rmtree(self._before, ignore_errors=True)


def card_of(base: Base, corpus: Corpus, split: Split, asked: Mapping[str, Any]) -> Card:
    """Return the card of a run's checkpoints, but for what each of them measured."""
    known = {"name": corpus.name, "sha256": corpus.sha256, "scenes": len(corpus.scenes), "weight": 1.0}
    recipe = {"recipe": "bench.copied_recipe", "full": True, "learning_rate": LEARNING_RATE, "batch": BATCH}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    return Card(
        base.card,
        EOS_NAMELESS.name,
        "full",
        tuple(one for one in friends() if one.name in corpus.speakers()),
        ({**known, "taught": "characters", "split": split.to_card()},),
        split.to_card(),
        {**recipe, **asked, **versions},
    )


def _known(folder: Path) -> tuple[float, int]:
    """Return figure and step of the checkpoint in `folder`; it may be newer than the state gone on from."""
    try:
        card = read_card(folder)
        return float(card.measures[MEASURE]), int(card.training["steps"])
    except (CardError, KeyError, TypeError, ValueError):
        return float("inf"), -1
