"""`echochamber train`, from top to bottom: corpus, split, base, run."""

import json
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import TrainingArguments

from bot.engine.bases import Base, BaseError, find_base
from bot.engine.checkpoints import CheckpointError, choose_device, load_base_model, load_screenplay, quiet_peft
from bot.engine.precision import Precision, choose_precision
from persona.card import Card
from persona.characters import Persona, PersonaError, find_persona, friends, read_personas
from persona.screenplay import FormatError, Screenplay
from training.budget import Budget
from training.conductor import Conductor, Progress, Stage
from training.corpus import Corpus, CorpusError, load_corpus
from training.export import Exporter
from training.measures import LearnedLoss
from training.picture import draw_losses
from training.runfolder import RunError, RunFolder, step_of
from training.samples import Sampler, Window, window_of
from training.split import Split, split_by_episode
from training.stream import BatchStream, Diet
from training.trainer import PROGRESS, PersonaTrainer

ALL = "all"
LORA_RATE, FULL_RATE = 1e-3, 1e-4
DEFAULT_MINUTES = 120.0


class TrainingError(RuntimeError):
    """A run that cannot be done as asked, in one sentence."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `echochamber train` was asked for. `started` is a moment of `time.monotonic()`."""

    corpus: str
    base: str
    persona: str
    minutes: float | None
    out: Path
    cache: Path
    started: float
    resume: bool = False
    seed: int = 0
    full: bool = False
    rank: int = 16
    learning_rate: float | None = None
    tokens: int = 1024
    max_steps: int | None = None
    device: str = "auto"

    def asked(self, corpus: Corpus, base: Base) -> dict[str, Any]:
        """Return what a resumed run must ask for again; minutes, steps and folder may change."""
        return {
            "corpus": corpus.sha256,
            "base": base.card.sha256,
            "persona": self.persona,
            "seed": self.seed,
            "full": self.full,
            "rank": 0 if self.full else self.rank,
            "learning_rate": self.rate(),
            "tokens": self.tokens,
        }

    def rate(self) -> float:
        """Return the learning rate."""
        return self.learning_rate or (FULL_RATE if self.full else LORA_RATE)


def train(options: Options, tell: Callable[[str], None], show: Callable[[dict[str, Any]], None]) -> Path:
    """Train and return the folder of the best checkpoint.

    `tell` gets sentences for people, `show` every record of the metrics. Raises TrainingError.
    """
    try:
        return _train(options, tell, show)
    except (BaseError, CheckpointError, CorpusError, FormatError, PersonaError, RunError) as error:
        raise TrainingError(str(error)) from error
    except OSError as error:
        raise TrainingError(f"the run stopped: {error.strerror or type(error).__name__} ({options.out})") from error


def _train(options: Options, tell: Callable[[str], None], show: Callable[[dict[str, Any]], None]) -> Path:
    corpus = load_corpus(options.corpus, options.cache)
    personas = choose_personas(options.persona, corpus)
    split = split_by_episode(corpus.scenes)
    base = find_base(options.base, options.cache, tell)
    folder = RunFolder(options.out)
    folder.begin(options.asked(corpus, base), resume=options.resume)
    folder.restore_model()
    device = choose_device(options.device)
    precision = choose_precision(device, options.cache)
    tell(f"Teaching {', '.join(one.name for one in personas)} from {corpus.name} on {device} in {precision.why}.")
    screenplay = load_screenplay(base.folder)
    model = prepare_model(load_base_model(base, torch.float32), options)
    exporter = Exporter(base, screenplay, _card(options, base, screenplay, (corpus, split, personas)))
    run = _Run(options, folder, (precision, device), exporter, (tell, show))
    return run.go(
        LearnedLoss(model), split, Sampler(screenplay, {one.name for one in personas}, window=window_of(model.config))
    )


def choose_personas(wanted: str, corpus: Corpus) -> tuple[Persona, ...]:
    """Return who is taught: all friends in the corpus, one character, or those of a TOML file.

    A name that nobody wrote an entry for is taken as a speaker's of the corpus.
    """
    speakers = corpus.speakers()
    if wanted == ALL:
        chosen: Sequence[Persona] = [one for one in friends() if one.name in speakers]
    elif wanted.endswith(".toml"):
        chosen = read_personas(Path(wanted))
    elif wanted in speakers:
        chosen = [next((one for one in friends() if one.name == wanted), Persona.from_speaker(wanted))]
    else:
        chosen = [find_persona(wanted, friends())]
    missing = [one.name for one in chosen if one.name not in speakers]
    if missing or not chosen:
        raise CorpusError(
            f"nobody called {missing[0] if missing else 'like a friend'} speaks in the corpus {corpus.name}"
        )
    return tuple(chosen)


def prepare_model(model: Any, options: Options) -> Any:
    """Return the model ready to train: with a new adapter, or all weights free."""
    model.config.use_cache = False
    if options.full:
        return model
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - full fine-tuning needs no peft

    torch.manual_seed(options.seed)
    conv1d = any(type(module).__name__ == "Conv1D" for module in model.modules())
    config = LoraConfig(
        r=options.rank,
        lora_alpha=2 * options.rank,
        target_modules="all-linear",
        fan_in_fan_out=conv1d,
        task_type="CAUSAL_LM",
    )
    with quiet_peft():
        return get_peft_model(model, config)


class _Run:
    """One start of a run: its parts joined, and what happens at its end."""

    def __init__(
        self,
        options: Options,
        folder: RunFolder,
        number_format: tuple[Precision, torch.device],
        exporter: Exporter,
        voices: tuple[Callable[[str], None], Callable[[dict[str, Any]], None]],
    ) -> None:
        self.options, self.folder, self.exporter = options, folder, exporter
        self.precision, self.device = number_format
        self.tell, self.show = voices
        self.progress = Progress()

    def go(self, model: LearnedLoss, split: Split, sampler: Sampler) -> Path:
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
        out_of_time = budget.is_over() and not interrupted.is_set()
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
        if minutes <= 0:
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
            bf16=self.precision.dtype is torch.bfloat16,
            fp16=self.precision.dtype is torch.float16,
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
        return None if self.precision.dtype is torch.float32 else self.precision.dtype

    def _keep_best(self, model: LearnedLoss, minutes: float) -> None:
        made, progress = self.folder.path / ".model-new", self.progress
        training = {
            "tokens": progress.tokens,
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


def _card(
    options: Options, base: Base, screenplay: Screenplay, taught: tuple[Corpus, Split, tuple[Persona, ...]]
) -> Card:
    corpus, split, personas = taught
    return Card(
        base=base.card,
        format=screenplay.format.name,
        kind="full" if options.full else "adapter",
        characters=personas,
        data=({"name": corpus.name, "sha256": corpus.sha256, "scenes": len(corpus.scenes)},),
        split=split.to_card(),
        training=options.asked(corpus, base) | {"torch": torch.__version__, "transformers": transformers.__version__},
    )


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
