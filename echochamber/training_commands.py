"""`echochamber train` and `echochamber evaluate`: options in, sentences and tables out."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bot.settings import SettingsError, load_settings

_STARTED = time.monotonic()
_REFUSED = 2
_SECONDS_BETWEEN_LINES = 30.0


def train(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    corpus: Annotated[str, typer.Option(help="A folder in ConvoKit's format, or the name of a ConvoKit corpus.")],
    out: Annotated[Path, typer.Option(help="The run's folder: checkpoints, metrics, picture, and the best model.")],
    base: Annotated[str, typer.Option(help="'embedded', a hub id such as microsoft/DialoGPT-small, or a folder.")] = (
        "embedded"
    ),
    persona: Annotated[
        str, typer.Option(help="'all' friends, one of them, any speaker of the corpus, or a TOML file.")
    ] = "all",
    max_minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Minutes this start may take, saving included (120 where not given).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Fixes the adapter's start and the order of the batches.")
    ] = 0,
    full: Annotated[bool, typer.Option("--full", help="Train all weights instead of a LoRA adapter.")] = False,
    rank: Annotated[int, typer.Option(min=1, max=256, help="The adapter's rank.")] = 16,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-7, max=1.0, help="1e-3 for an adapter and 1e-4 for --full where not given.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=64, help="Tokens a step, padding included.")] = 1024,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many steps.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Teach a base model how the characters of a corpus talk."""
    from training.train import Options, TrainingError  # noqa: PLC0415 - torch loads here, not for --help
    from training.train import train as run  # noqa: PLC0415

    options = Options(
        corpus=corpus, base=base, persona=persona, minutes=max_minutes, out=out, cache=_cache(), started=_STARTED,
        resume=resume, seed=seed, full=full, rank=rank, learning_rate=learning_rate, tokens=tokens,
        max_steps=max_steps, device=device,
    )  # fmt: skip
    with _Display(max_minutes) as display:
        try:
            run(options, display.tell, display.show)
        except TrainingError as error:
            display.tell(f"Error: {error}.")
            raise typer.Exit(_REFUSED) from error


def evaluate(
    model: Annotated[Path, typer.Option(help="A checkpoint folder, or a run's folder.")],
    corpus: Annotated[str, typer.Option(help="A folder in ConvoKit's format, or the name of a ConvoKit corpus.")],
    split: Annotated[str, typer.Option(help="validation, test or all.")] = "validation",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the measures into this file too.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure a checkpoint on held-out episodes, beside its untouched base."""
    from training.evaluate import EvaluationError, Question  # noqa: PLC0415 - torch loads here, not for --help
    from training.evaluate import evaluate as measure  # noqa: PLC0415

    screen = Console(stderr=True)
    try:
        with Progress(console=screen, transient=True) as bar:
            task = bar.add_task("reading held-out scenes")
            answer = measure(
                Question(model, corpus, _cache(), split, device),
                lambda done, of: bar.update(task, completed=done, total=of),
            )
    except EvaluationError as error:
        screen.print(f"Error: {error}.", markup=False, soft_wrap=True)
        raise typer.Exit(_REFUSED) from error
    table = Table(title=f"{answer.replies} replies in {answer.episodes} {split} episodes")
    for column in ("", "bits per byte", "perplexity a token"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("untouched base", f"{answer.base_bits_per_byte:.4f}", f"{answer.base_perplexity:.2f}")
    table.add_row("this checkpoint", f"{answer.bits_per_byte:.4f}", f"{answer.perplexity:.2f}")
    low, high = (f"{100 * (ratio - 1):+.1f} %" for ratio in (answer.ratio_low, answer.ratio_high))
    table.add_row("difference", f"{100 * (answer.ratio - 1):+.1f} % ({low} to {high})", "")
    Console().print(table)
    if json_file:
        try:
            json_file.write_text(json.dumps(answer.to_mapping(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            screen.print(f"Error: cannot write {json_file}: {error.strerror or error}.", markup=False, soft_wrap=True)
            raise typer.Exit(_REFUSED) from error


def _cache() -> Path:
    try:
        return load_settings().cache_dir
    except SettingsError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(_REFUSED) from error


class _Display:
    """A progress bar on a terminal; elsewhere a line now and then, all of it on stderr."""

    def __init__(self, minutes: float | None) -> None:
        self._screen = Console(stderr=True)
        self._minutes = minutes or 120.0
        self._said_at = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=self._screen, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("training", total=self._minutes * 60, state="")

    def __enter__(self) -> "_Display":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def tell(self, sentence: str) -> None:
        """Say a sentence above the bar."""
        self._screen.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def show(self, record: dict[str, Any]) -> None:
        """Show a record of the metrics."""
        elapsed = time.monotonic() - _STARTED
        if record["kind"] == "validation":
            self.tell(f"step {record['step']}: {record['bits_per_byte']:.4f} bits per byte held out")
            return
        state = f"step {record['step']}, loss {record['loss']:.3f}, {record['tokens_per_second']:.0f} tokens/s"
        self._bar.update(self._task, completed=elapsed, state=state)
        if self._bar.disable and time.monotonic() - self._said_at > _SECONDS_BETWEEN_LINES:
            self._said_at = time.monotonic()
            left = max(0.0, self._minutes - elapsed / 60)
            self.tell(f"{state}, {left:.0f} minutes left")
