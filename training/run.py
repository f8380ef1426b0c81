"""One start of a training run: where it goes on from, what it may spend, and what it leaves behind."""

import math
import threading
from dataclasses import replace
from pathlib import Path

import transformers

from persona.card import read_card
from training.budget import Budget
from training.checkpoints import State
from training.conductor import Conductor, Progress, Stage, schedule_of
from training.decisions import Clock, Decider, Pace, Replay
from training.job import Job, Voices
from training.measures import LearnedLoss
from training.microbatches import MicroBatching
from training.rehearsal import Rehearsal, Reply
from training.resumption import find_place, open_budget
from training.runfolder import RunError
from training.schedule import Schedule
from training.signals import set_by_signals
from training.stream import Cursor, Diet, Stream
from training.trainer import Diverged, PersonaTrainer, arguments, saving
from training.untouched import remembered
from training.validation import Measures, Sample, Validator, choose_sample

_REPORT_SECONDS = 4.0


class Run:
    """One start of a run."""

    def __init__(self, job: Job, voices: Voices) -> None:
        self.job, self.voices = job, voices
        self.progress = Progress()

    def go(self, model: LearnedLoss) -> Path:
        """Train until the budget is spent, nothing gets better or a signal comes; return the best's folder.

        Raises RunError.
        """
        place = find_place(self.job, self.voices.tell)
        budget = open_budget(self.job, place)
        budget.needs("report", _REPORT_SECONDS)
        self.progress, state = place.progress, place.state
        schedule, cursor = schedule_of(self.progress), Cursor(**self.progress.cursor)
        diet = self.job.diet()
        model.to(self.job.device)
        with set_by_signals() as interrupted:
            stage = self._stage(model, budget, self._decider(budget, schedule, diet), interrupted)
            conductor = Conductor(stage, self.progress, schedule, cursor)
            stream = Stream(diet, cursor, lambda step: not schedule.is_stable(step), self.job.team)
            trainer = PersonaTrainer(
                model, arguments(self.job.options, self.job.device, self.job.dtype),
                stream=stream, conductor=conductor, micro=self._micro_batching(),
            )  # fmt: skip
            trainer.remove_callback(transformers.PrinterCallback)
            self._train(trainer, conductor, state)
        self._leave(conductor, int(trainer.state.global_step))
        return self.job.folder.model

    def _micro_batching(self) -> MicroBatching:
        options = self.job.options
        return MicroBatching(options.micro_tokens or options.tokens, options.tokens, self.voices.tell)

    def _train(self, trainer: PersonaTrainer, conductor: Conductor, state: State | None) -> None:
        try:
            trainer.train(resume_from_checkpoint=str(state.folder) if state else None)
            if conductor.reason not in ("interrupted", "stopped"):
                conductor.finish(trainer.state.global_step)
        except Diverged as error:
            conductor.reason = "NaN"
            self._leave(conductor, int(trainer.state.global_step), quiet=True)
            raise RunError(
                f"{error} (after step {trainer.state.global_step}): the run is stopped, the last good checkpoint and "
                f"the best model in {self.job.folder.path} are kept; a lower --learning-rate may help"
            ) from error

    def _decider(self, budget: Budget, schedule: Schedule, diet: Diet) -> Decider:
        if self.job.log:
            return Replay(self.job.log)
        options = self.job.options
        a_pass = len(diet.plan(0, 0)) / self.job.parts[0].share
        pace = Pace(a_pass, self.progress.max_steps, options.validation_share)
        return Clock(budget, schedule, pace, max(0, self.progress.last_validation))

    def _stage(self, model: LearnedLoss, budget: Budget, decider: Decider, interrupted: threading.Event) -> Stage:
        job = self.job
        options, place = job.options, (job.device, job.autocast)
        sample = choose_sample(job.parts, job.screenplay, int(job.facts["sample_tokens"]), options.seed)
        _check_sample(sample)
        validator = Validator(model, sample, *place)
        rehearsal = Rehearsal(job.screenplay, job.personas, job.parts[0].sampler.window)

        def rehearse() -> tuple[list[Reply], float]:
            replies = rehearsal.answer(model, *place)
            return replies, rehearsal.repetition(replies)

        def base_measures() -> Measures:
            measures = validator.measure()
            looks = options.rehearse and math.isfinite(measures.score)  # from nothing but NaN no word can be drawn
            return replace(measures, repetition=rehearse()[1]) if looks else measures

        def untouched() -> tuple[Measures, float]:
            facts = {key: job.facts[key] for key in ("base", "precision", "device", "torch")}
            read = {"sample": sample.checksum(), "rehearsal": rehearsal.checksum() if options.rehearse else ""}
            return remembered(options.cache, facts | read, base_measures)

        return Stage(
            folder=job.folder,
            budget=budget,
            decider=decider,
            validator=validator,
            keep_best=lambda measures: self._keep_best(model, measures, budget.total()),
            rehearse=rehearse if options.rehearse else None,
            untouched=untouched,
            show=self.voices.show,
            stopped=lambda: "interrupted" if interrupted.is_set() else "stopped" if self.voices.stop() else "",
            team=job.team,
            patience=options.patience,
            save_seconds=60 * options.save_minutes,
            keep_last=options.keep_last,
            begin=lambda: job.start.load(model.model) if job.start else None,
        )

    def _keep_best(self, model: LearnedLoss, measures: Measures, minutes: float) -> None:
        made, progress = self.job.folder.path / ".model-new", self.progress
        training = {
            "tokens_read": progress.tokens,
            "learned_tokens": progress.learned,
            "steps": progress.best_step,
            "minutes": round(minutes, 1),
        }
        found = {f"validation_{key}": value for key, value in measures.to_mapping().items()}
        found["untouched_base_bits_per_byte"] = round(progress.untouched, 5)
        with saving(self.job.folder.path, "the best model"):
            self.job.exporter.write(model.model, made, training, found)
            self.job.folder.replace_model(made)

    def _leave(self, conductor: Conductor, step: int, *, quiet: bool = False) -> None:
        """Write down how it ended, write the report, and say what came out."""
        job, stage, progress = self.job, conductor.stage, conductor.progress
        if not job.team.leads:
            return
        budget = stage.budget
        left = None if math.isinf(budget.minutes) else round(budget.left(), 4)
        minutes = round(budget.total(), 4)
        record = {"kind": "end", "step": step, "reason": conductor.reason, "left": left, "minutes": minutes}
        job.folder.log(record)
        self.voices.show(record)
        from training.report.page import write_report  # noqa: PLC0415 - matplotlib would delay the first step by seconds

        with saving(job.folder.path, "the report"):
            write_report(job.folder.path)
        if quiet:
            return
        change = 100 * (1 - self._best_bits() / progress.untouched) if progress.untouched else 0.0
        which = "Last" if job.options.keep_last else "Best"
        self.voices.tell(
            f"{which} held-out bits per byte {self._best_bits():.3f} at step {progress.best_step}, {change:.1f} % "
            f"below the untouched base's {progress.untouched:.3f}; it is in {job.folder.model}."
        )
        self._say_why(conductor.reason)

    def _best_bits(self) -> float:
        return float(read_card(self.job.folder.model).measures["validation_bits_per_byte"])

    def _say_why(self, reason: str) -> None:
        if reason == "early stopping":
            self.voices.tell("Stopped early: it got no better any more, and would only learn the lines by heart.")
        if reason in ("interrupted", "stopped"):
            self.voices.tell("Stopped and saved; the same command with --resume goes on.")


def _check_sample(sample: Sample) -> None:
    if not next(iter(sample.held_out.values())):
        raise RunError("the characters to be taught say nothing in the held-out episodes; the corpus is too small")
