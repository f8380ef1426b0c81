"""The conductor of a run: lets decisions take effect, validates, keeps the best, counts and logs."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bot.engine.memory import Tidier
from training.budget import Budget
from training.decisions import Decider, Decision, apply
from training.rehearsal import Reply
from training.runfolder import RunFolder
from training.schedule import Decay, Schedule
from training.stream import Cursor, Portion
from training.team import Team
from training.validation import Measures, Validator

SAVING_SHARE = 0.02
UNSEEN = 1.2  # how much longer the next validation may take than the last


@dataclass
class Progress:
    """What a resumed run must know, kept in every checkpoint.

    `best` is the lowest score so far, found at `best_step`; `strikes` counts the validations since.
    `split` says for every corpus what is held out.
    """

    tokens: int = 0
    learned: int = 0
    best: float = float("inf")
    best_step: int = 0
    strikes: int = 0
    last_validation: int = -1
    untouched: float = 0.0
    max_steps: int | None = None
    decays: list[list[int]] = field(default_factory=list)
    cursor: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Progress":
        """Build it from a checkpoint's plain fields."""
        return cls(**fields)


@dataclass
class Stage:
    """The parts a conductor leads.

    `keep_best` writes the model that ships with its measures, `untouched` gives the base's and the
    seconds that they took, `rehearse` answers the sixteen messages and says which share of the
    replies is repeated, `show` gets every record, `stopped` says why the run has to end at once,
    "" where it has not. `begin` is called once, after the untouched base was measured: it loads what
    the run starts from. With `keep_last` every validated checkpoint takes the place of the best.
    """

    folder: RunFolder
    budget: Budget
    decider: Decider
    validator: Validator
    keep_best: Callable[[Measures], None]
    rehearse: Callable[[], tuple[list[Reply], float]] | None
    untouched: Callable[[], tuple[Measures, float]]
    show: Callable[[dict[str, Any]], None]
    stopped: Callable[[], str]
    team: Team = field(default_factory=Team)
    patience: int = 4
    save_seconds: float = 300.0
    keep_last: bool = False
    begin: Callable[[], None] = lambda: None


class Conductor(TrainerCallback):
    """Trainer's callback. What depends on the clock is asked of the decider, written down, and then done."""

    def __init__(self, stage: Stage, progress: Progress, schedule: Schedule, cursor: Cursor) -> None:
        self.stage, self.progress, self.schedule, self.cursor = stage, progress, schedule, cursor
        self.reason = ""
        self._saved_at = time.monotonic()
        self._saving_seconds = 0.0
        self._stepping_seconds, self._tokens_before = 0.0, progress.tokens
        self._step_began = 0.0
        self._portion: Portion | None = None
        self._tidier = Tidier()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Validate the untouched base once, and decide what is due before the first step."""
        if self.progress.last_validation < 0:
            if self.stage.team.leads:
                measures, seconds = self.stage.untouched()
                self.stage.budget.needs("validation", UNSEEN * seconds)
                self.stage.decider.validated(state.global_step, seconds)
                self._note(state.global_step, measures, seconds)
            self.progress = self.stage.team.share(self.progress)
            self.stage.begin()
        self._decide(state.global_step, control)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the step's clock."""
        self._step_began = time.monotonic()
        self.stage.budget.step_began()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count, decide, and save where it is time to."""
        self._tidier.tidy()
        self.stage.budget.step_ended()
        self._stepping_seconds += time.monotonic() - self._step_began
        control.should_log = True
        self._decide(state.global_step, control)
        why = self.stage.team.share(self.stage.stopped())
        if why:
            self._stop(why, control)
        waited = time.monotonic() - self._saved_at
        is_due = waited >= max(self.stage.save_seconds, self._saving_seconds / SAVING_SHARE)
        if self.stage.team.share(is_due) or any(one.step == state.global_step for one in self.schedule.decays):
            control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write and show one training step."""
        if not logs or "loss" not in logs or self._portion is None:
            return
        progress, seconds = self.progress, max(1e-9, self._stepping_seconds)
        self._record(
            kind="train",
            step=state.global_step,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            tokens=progress.tokens,
            learned=progress.learned,
            tokens_per_second=round((progress.tokens - self._tokens_before) / seconds, 1),
            epoch=round(self._portion.passes, 4),
            corpus=self._portion.corpus,
        )

    def count(self, portion: Portion) -> None:
        """Count what the step that is about to be computed learns from."""
        self._portion = portion
        self.progress.tokens += portion.tokens
        self.progress.learned += portion.learned

    def finish(self, step: int) -> None:
        """Validate once more where steps were trained since the last time."""
        if step > self.progress.last_validation:
            self._validate(step)

    def publish(self, saved: Path, step: int) -> None:
        """Name a state that was saved and remove what is not kept."""
        progress = self.progress
        progress.decays = [[one.step, one.steps] for one in self.schedule.decays]
        progress.cursor = self.cursor.to_mapping()
        is_stable = not any(one.step < step for one in self.schedule.decays)
        self.stage.folder.states.publish(saved, step, asdict(progress), is_stable=is_stable)
        self.stage.folder.states.tidy(step, progress.best_step)

    def saved(self, step: int, began: float) -> None:
        """Note how long saving took: so much is kept for the last time, and so rarely is it done."""
        self._saved_at = time.monotonic()
        self._saving_seconds = self._saved_at - began
        self._record(kind="saved", step=step, seconds=round(self._saving_seconds, 3))
        self.stage.budget.needs("saving", 1.2 * self._saving_seconds)

    def _decide(self, step: int, control: TrainerControl) -> None:
        for decision in self.stage.team.share(self.stage.decider.decide(step)):
            self._write_down(decision)
            apply(decision, self.schedule)
            if decision.what == "stop":
                self._stop(decision.reason, control)
            elif decision.what == "validate":
                self._validate(step, control)
        if self.progress.strikes >= self.stage.patience and not self.reason:
            self._write_down(Decision(step, "stop", reason="early stopping"))
            self._stop("early stopping", control)

    def _write_down(self, decision: Decision) -> None:
        self.stage.folder.log_decision(decision)
        self._record(kind="decision", **decision.to_mapping())

    def _stop(self, reason: str, control: TrainerControl) -> None:
        self.reason = self.reason or reason
        control.should_training_stop = True
        control.should_save = True

    def _validate(self, step: int, control: TrainerControl | None = None) -> None:
        stage, began = self.stage, time.monotonic()
        best, replies = self.progress.best, list[Reply]()

        if stage.team.leads:
            measures = stage.validator.measure()
            if stage.rehearse and self._is_kept(measures, best):
                replies, repetition = stage.rehearse()
                measures = replace(measures, repetition=repetition)
            self._note(step, measures, time.monotonic() - began)
            if self.progress.best_step == step:
                for reply in replies:
                    self._record(
                        kind="reply", step=step, character=reply.character, message=reply.message, reply=reply.text
                    )
        self.progress = stage.team.share(self.progress)
        # A resumed run must know the best that is on the disk, or a worse one would replace it.
        if control is not None and (stage.keep_last or self.progress.best < best):
            control.should_save = True
        seconds = time.monotonic() - began
        stage.decider.validated(step, seconds)
        stage.budget.needs("validation", UNSEEN * seconds)

    def _is_kept(self, measures: Measures, best: float) -> bool:
        """Say whether the model takes the place of the one on the disk; one whose score is no number never does."""
        return measures.score < best or (self.stage.keep_last and math.isfinite(measures.score))

    def _note(self, step: int, measures: Measures, seconds: float) -> None:
        """Write a validation that took `seconds` down, and keep the model where it is the best so far."""
        progress = self.progress
        is_best = self._is_kept(measures, progress.best)
        if progress.last_validation < 0:
            progress.untouched = measures.bits_per_byte
        progress.last_validation = step
        progress.strikes = 0 if is_best else progress.strikes + 1
        if is_best:
            progress.best, progress.best_step = measures.score, step
            self.stage.keep_best(measures)
        found = measures.to_mapping() | {"seconds": round(seconds, 3)}
        self._record(kind="validation", step=step, tokens=progress.tokens, best=is_best, **found)

    def _record(self, **record: Any) -> None:
        record |= {"minutes": round(self.stage.budget.total(), 4)}
        self.stage.folder.log(record)
        self.stage.show(record)


def schedule_of(progress: Progress) -> Schedule:
    """Return the schedule with the decays that a checkpoint knows."""
    return Schedule(Decay(step, steps) for step, steps in progress.decays)
