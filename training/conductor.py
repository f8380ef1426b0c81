"""The conductor of a run: when to validate, to save, to stop; what is logged and shown."""

import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.budget import Budget
from training.measures import LearnedLoss, Sums, read_window, total
from training.runfolder import RunFolder
from training.samples import Window

VALIDATIONS = 8
VALIDATION_SHARE = 0.05
SAVE_SECONDS = 300.0


@dataclass
class Progress:
    """What a resumed run must know: kept in every checkpoint.

    `sample` windows are validated each time, a number fixed by the first validation's speed;
    `validated` counts validations, `best` is the lowest bits per byte and `untouched` the base's.
    """

    tokens: int = 0
    learned: int = 0
    sample: int = 0
    validated: int = 0
    best: float = float("inf")
    best_step: int = 0
    untouched: float = 0.0
    epoch: int = 0

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields."""
        return asdict(self)


@dataclass
class Stage:
    """The parts a conductor leads."""

    model: LearnedLoss
    windows: list[Window]
    folder: RunFolder
    budget: Budget
    autocast: torch.dtype | None
    keep_best: Callable[[], None]
    show: Callable[[dict[str, Any]], None]
    interrupted: Callable[[], bool] = field(default=lambda: False)


class Conductor(TrainerCallback):
    """Trainer's callback. Validation and saving follow the clock, never the number of steps."""

    def __init__(self, stage: Stage, progress: Progress) -> None:
        self.stage = stage
        self.progress = progress
        self._saved_at = time.monotonic()
        self._window_began = time.monotonic()
        self._tokens_before = progress.tokens
        self._validated_at = -1
        self._rate = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure the untouched base once, which also fixes the validation sample."""
        if self.progress.validated == 0:
            self._validate(state.global_step)
        self._restart_window()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the step's clock."""
        self.stage.budget.step_began()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Decide, after every step, from the clock."""
        budget = self.stage.budget
        budget.step_ended(state.global_step)
        if budget.is_over() or self.stage.interrupted():
            control.should_training_stop = True
            control.should_save = True
        elif budget.progress() >= self.progress.validated / VALIDATIONS:
            best = self.progress.best
            self._measure_rate()
            self._validate(state.global_step)
            self._restart_window()
            # A resumed run must know the best that is on the disk, or a worse one would replace it.
            control.should_save = self.progress.best < best
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            control.should_save = True
            self._saved_at = time.monotonic()
        control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write and show one training step."""
        if not logs or "loss" not in logs:
            return
        self._measure_rate()
        self._record(
            kind="train",
            step=state.global_step,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            tokens=self.progress.tokens,
            learned=self.progress.learned,
            tokens_per_second=self._rate,
            epoch=self.progress.epoch,
        )

    def count(self, epoch: int, batch: dict[str, torch.Tensor]) -> None:
        """Count the tokens of a batch that is about to be learned."""
        self.progress.epoch = epoch
        self.progress.tokens += int(batch["attention_mask"].sum())
        self.progress.learned += int((batch["labels"] >= 0).sum())

    def finish(self, step: int) -> None:
        """Validate once more where steps were trained since the last time."""
        if step > self._validated_at:
            self._validate(step)

    def _validate(self, step: int) -> None:
        began = time.monotonic()
        sums = total(self._read_sample())
        self.progress.validated += 1
        self._validated_at = step
        value = sums.bits_per_byte
        if self.progress.untouched == 0.0 and step == 0:
            self.progress.untouched = value
        self._record(kind="validation", step=step, bits_per_byte=value, perplexity=sums.perplexity)
        if value < self.progress.best:
            self.progress.best, self.progress.best_step = value, step
            self.stage.keep_best()
        self.stage.budget.needs("validation", 1.2 * (time.monotonic() - began))

    def _read_sample(self) -> list[Sums]:
        stage, read = self.stage, list[Sums]()
        allowed = max(0.5, VALIDATION_SHARE * stage.budget.minutes * 60 / (VALIDATIONS + 2))
        began = time.monotonic()
        device = next(stage.model.parameters()).device
        for window in itertools.islice(stage.windows, self.progress.sample or None):
            read.append(read_window(stage.model, window, device, stage.autocast))
            if not self.progress.sample and time.monotonic() - began > allowed:
                break
        self.progress.sample = len(read)
        return read

    def _record(self, **record: Any) -> None:
        record |= {"minutes": round(self.stage.budget.total(), 4)}
        self.stage.folder.log(record)
        self.stage.show(record)

    def _measure_rate(self) -> None:
        """Take the tokens a second since the last validation; the step that one ended has none yet."""
        if self.progress.tokens > self._tokens_before:
            elapsed = time.monotonic() - self._window_began
            self._rate = round((self.progress.tokens - self._tokens_before) / elapsed, 1)

    def _restart_window(self) -> None:
        self._window_began, self._tokens_before = time.monotonic(), self.progress.tokens
