"""One start of a training run: its budget, its place in the stream, and what it leaves behind."""

import json
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import TrainingArguments

from training.budget import Budget
from training.conductor import Conductor, Progress, Stage
from training.corpus import CorpusError
from training.export import Exporter
from training.measures import LearnedLoss
from training.options import Options
from training.picture import draw_losses
from training.runfolder import RunError, RunFolder, step_of
from training.samples import Sampler, Window
from training.split import Split
from training.stream import BatchStream, Diet
from training.trainer import PROGRESS, PersonaTrainer

DEFAULT_MINUTES = 120.0


class Run:
    """One start of a run: its parts joined, and what happens at its end.

    `place` is the device and the dtype to compute in, `voices` are `tell` and `show` of `train`.
    """

    def __init__(
        self,
        options: Options,
        folder: RunFolder,
        place: tuple[torch.device, torch.dtype],
        exporter: Exporter,
        voices: tuple[Callable[[str], None], Callable[[dict[str, Any]], None]],
    ) -> None:
        self.options, self.folder, self.exporter = options, folder, exporter
        self.device, self.dtype = place
        self.tell, self.show = voices
        self.progress = Progress()

    def go(self, model: LearnedLoss, split: Split, sampler: Sampler) -> Path:
        """Train until the budget is spent or a signal comes; return the folder of the best checkpoint."""
        options, folder = self.options, self.folder
        checkpoint = folder.latest() if options.resume else None
        budget = self._budget(checkpoint)
        windows = _shuffled(sampler.windows(split.validation), options.seed)
        if not windows:
            raise CorpusError(
                "the characters to be taught say nothing in the held-out episodes; the corpus is too small"
            )
        model.to(self.device)
        with _stop_on_signal() as interrupted:
            stage = Stage(
                model,
                windows,
                folder,
                budget,
                self._autocast(),
                lambda: self._keep_best(model, budget.total()),
                self.show,
                interrupted.is_set,
            )
            conductor = Conductor(stage, self.progress)
            self._resume_or_begin(checkpoint)
            diet = Diet(split.train, sampler, options.tokens, options.seed)
            trainer = self._trainer(model, conductor, diet, step_of(checkpoint) if checkpoint else 0)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            if not interrupted.is_set():
                conductor.finish(trainer.state.global_step)
        out_of_time = budget.is_out_of_time() and not interrupted.is_set()
        folder.log(
            {
                "kind": "end",
                "step": trainer.state.global_step,
                "left": 0 if out_of_time else budget.minutes - budget.spent(),
            }
        )
        draw_losses(folder.metrics(), folder.picture)
        self._say_goodbye(interrupted.is_set())
        return folder.model

    def _budget(self, checkpoint: Path | None) -> Budget:
        """Return what this start may spend: the minutes asked for, else what an earlier start left."""
        options, folder = self.options, self.folder
        step, spent, left = 0, 0.0, DEFAULT_MINUTES
        if checkpoint:
            self.progress = Progress(**json.loads((checkpoint / PROGRESS).read_text(encoding="utf-8")))
            step = step_of(checkpoint)
        if options.resume:
            turns = [record for record in folder.metrics() if record["kind"] in ("start", "end")]
            spent = folder.forget_after(step)
            if turns:
                left = turns[-1]["until"] - spent if turns[-1]["kind"] == "start" else turns[-1]["left"]
        minutes = left if options.minutes is None else options.minutes
        if not minutes > 0:  # not a number is none either
            raise RunError(f"the minutes of this run are spent; the best is in {folder.model}, --max-minutes adds more")
        if options.max_steps and step >= options.max_steps:
            raise RunError(
                f"the {step} steps of this run are done; the best is in {folder.model}, --max-steps adds more"
            )
        folder.log({"kind": "start", "step": step, "minutes": spent, "until": spent + minutes})
        return Budget(minutes, options.started, spent, options.max_steps, step)

    def _resume_or_begin(self, checkpoint: Path | None) -> None:
        if checkpoint:
            self.tell(f"Going on from {checkpoint.name}, {self.progress.tokens:,} tokens read so far.")
        elif self.options.resume:
            self.tell("This run was stopped before its first checkpoint: starting again.")

    def _trainer(self, model: LearnedLoss, conductor: Conductor, diet: Diet, start: int) -> PersonaTrainer:
        stream = BatchStream(diet, start, conductor.count)
        trainer = PersonaTrainer(
            model,
            self._arguments(),
            folder=self.folder,
            budget=conductor.stage.budget,
            stream=stream,
            progress=self.progress.to_mapping,
            callbacks=[conductor],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        return trainer

    def _arguments(self) -> TrainingArguments:
        options = self.options
        return TrainingArguments(
            output_dir=str(self.folder.path),
            max_steps=options.max_steps or 10**9,
            learning_rate=options.rate(),
            weight_decay=0.0,
            max_grad_norm=1.0,
            per_device_train_batch_size=1,
            bf16=self.dtype is torch.bfloat16,
            fp16=self.dtype is torch.float16,
            use_cpu=self.device.type == "cpu",
            seed=options.seed,
            logging_strategy="no",
            save_strategy="no",
            eval_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            ignore_data_skip=True,
            dataloader_pin_memory=False,
        )

    def _autocast(self) -> torch.dtype | None:
        return None if self.dtype is torch.float32 else self.dtype

    def _keep_best(self, model: LearnedLoss, minutes: float) -> None:
        made, progress = self.folder.path / ".model-new", self.progress
        training = {
            "tokens_read": progress.tokens,
            "learned_tokens": progress.learned,
            "steps": progress.best_step,
            "minutes": round(minutes, 1),
        }
        measures = {
            "validation_bits_per_byte": round(progress.best, 4),
            "untouched_base_bits_per_byte": round(progress.untouched, 4),
            "validation_windows": progress.sample,
        }
        self.exporter.write(model.model, made, training, measures)
        self.folder.replace_model(made)

    def _say_goodbye(self, interrupted: bool) -> None:
        progress = self.progress
        change = 100 * (1 - progress.best / progress.untouched) if progress.untouched else 0.0
        self.tell(
            f"Best held-out bits per byte {progress.best:.3f} at step {progress.best_step}, {change:.1f} % below the "
            f"untouched base's {progress.untouched:.3f}; it is in {self.folder.model}."
        )
        if interrupted:
            self.tell("Stopped and saved; the same command with --resume goes on.")


def _shuffled(windows: list[Window], seed: int) -> list[Window]:
    """Return the held-out windows in a fixed random order, so that the first ones are a fair sample."""
    random.Random(seed).shuffle(windows)  # noqa: S311 - sampling, not secrets
    return windows


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into a flag that is looked at after every step."""
    flag = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: flag.set())
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
