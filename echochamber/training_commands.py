"""`echochamber train`: options in, sentences out."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bot.settings import load_settings
from echochamber.screen import Screen

_STARTED = time.monotonic()
_SECONDS_BETWEEN_LINES = 30.0


def train(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    corpus: Annotated[
        list[str],
        typer.Option(
            help="A folder in ConvoKit's format or the name of a ConvoKit corpus, with :WEIGHT or without; "
            "repeat it for more. The first is the show."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder: checkpoints, metrics, report, and the best model.")],
    base: Annotated[str, typer.Option(help="'embedded', a hub id such as microsoft/DialoGPT-small, or a folder.")] = (
        "embedded"
    ),
    persona: Annotated[
        str,
        typer.Option(help="'all' friends, one of them, any speaker of the corpus, 'everybody', or a TOML file."),
    ] = "all",
    max_minutes: Annotated[
        float | None,
        typer.Option(
            help="Minutes over all starts, saving and evaluating included (120 where neither they nor steps "
            "are given); with --resume, other minutes are added."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Leave scenes of the show out, such as season=s10; repeat it for more.")
    ] = None,
    train_share: Annotated[float, typer.Option(help="Learn from this share of the show's training scenes only.")] = 1.0,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Fixes the adapter's start and the order of the batches.")
    ] = 0,
    full: Annotated[bool, typer.Option("--full", help="Train all weights instead of a LoRA adapter.")] = False,
    rank: Annotated[int, typer.Option(help="The adapter's rank.")] = 16,
    learning_rate: Annotated[
        float | None, typer.Option(help="1e-3 for an adapter and 1e-4 for --full where not given.")
    ] = None,
    dropout: Annotated[float, typer.Option(help="Dropout in the adapter.")] = 0.0,
    tokens: Annotated[int, typer.Option(help="Tokens a step, padding included.")] = 1024,
    micro_tokens: Annotated[
        int | None, typer.Option(help="Tokens computed at once (all of a step); halved where memory runs out.")
    ] = None,
    context: Annotated[int | None, typer.Option(help="Longest window in tokens (512, or the base's if less).")] = None,
    prompt_weight: Annotated[
        float, typer.Option(help="Weight of the loss on lines that are not taught, from 0 to 1.")
    ] = 0.0,
    masked_share: Annotated[
        float, typer.Option(help="Share of the scenes in which one speaker gets a stranger's name.")
    ] = 0.25,
    contrast: Annotated[
        float, typer.Option(help="Weight of telling who says a line from one who does not; 0 leaves it out.")
    ] = 0.0,
    exchanges_share: Annotated[
        float, typer.Option(help="Share of the steps for the characters' exchanges with strangers, such as 0.6.")
    ] = 0.0,
    exchanges: Annotated[
        Path | None,
        typer.Option(help="A folder of exchanges, ID.toml for each persona; for the six friends there are some."),
    ] = None,
    judged_share: Annotated[
        float, typer.Option(help="Share of the steps for replies that readers judged, such as 0.6.")
    ] = 0.0,
    judged: Annotated[
        Path | None,
        typer.Option(
            help="A file of judged replies, JSON lines of prompt, character, reply and whether it counts: to learn "
            "what readers like."
        ),
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Go on from the adapter of a checkpoint or run, with other data or options.")
    ] = None,
    mixture_temperature: Annotated[
        float, typer.Option(help="Evens out the corpora's weights above 1, sharpens them below.")
    ] = 1.0,
    max_steps: Annotated[int | None, typer.Option(help="Stop after this many steps.")] = None,
    patience: Annotated[int, typer.Option(help="Validations without a better score before stopping early.")] = 4,
    validation_share: Annotated[float, typer.Option(help="Share of the time that validating may take.")] = 0.05,
    save_minutes: Annotated[float, typer.Option(help="Minutes between checkpoints.")] = 5.0,
    keep_for_average: Annotated[int, typer.Option(help="Keep this many more checkpoints.")] = 0,
    keep_last: Annotated[
        bool,
        typer.Option(
            "--keep-last",
            help="Keep the last checkpoint, not the one with the best score, and never stop early; good with --judged, "
            "of which the score knows nothing.",
        ),
    ] = False,
    replay: Annotated[
        Path | None, typer.Option(help="Repeat the decisions of another run: its folder or its decisions.jsonl.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Teach a base model how the characters of a corpus talk."""
    from training.team import Team  # noqa: PLC0415 - torch loads here, not for --help
    from training.train import Options, TrainingError  # noqa: PLC0415
    from training.train import train as run  # noqa: PLC0415

    with Screen().refusing():
        cache = load_settings().cache_dir
    options = Options(
        corpora=tuple(corpus), base=base, persona=persona, minutes=max_minutes, out=out, cache=cache,
        started=_STARTED, resume=resume, seed=seed, full=full, rank=rank, learning_rate=learning_rate,
        dropout=dropout, tokens=tokens, micro_tokens=micro_tokens, context=context, max_steps=max_steps,
        device=device, leave_out=tuple(leave_out or ()), train_share=train_share, prompt_weight=prompt_weight,
        masked_share=masked_share, validation_share=validation_share,
        contrast=contrast, exchanges=exchanges, exchanges_share=exchanges_share, start_from=start_from,
        judged=judged, judged_share=judged_share,
        mixture_temperature=mixture_temperature, patience=patience, save_minutes=save_minutes,
        keep_for_average=keep_for_average, keep_last=keep_last, replay=replay, command=("echochamber", *sys.argv[1:]),
    )  # fmt: skip
    with _Display(max_minutes) as display, display.refusing(TrainingError):
        run(options, display.tell, display.show)
    Team().disband()


class _Display(Screen):
    """A progress bar on a terminal; elsewhere a line now and then, all of it on stderr."""

    def __init__(self, minutes: float | None) -> None:
        super().__init__()
        self._minutes = minutes or 120.0
        self._said_at = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=self.console, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("training", total=self._minutes * 60, state="")

    def __enter__(self) -> "_Display":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def show(self, record: dict[str, Any]) -> None:
        """Show a record of the metrics."""
        elapsed = time.monotonic() - _STARTED
        if record["kind"] == "validation":
            self.tell(
                f"step {record['step']}: {record['bits_per_byte']:.4f} bits per byte held out, "
                f"persona gain {record['persona_gain']:.4f}"
            )
        elif record["kind"] == "train":
            state = f"step {record['step']}, loss {record['loss']:.3f}, {record['tokens_per_second']:.0f} tokens/s"
            self._bar.update(self._task, completed=elapsed, state=state)
            if self._bar.disable and time.monotonic() - self._said_at > _SECONDS_BETWEEN_LINES:
                self._said_at = time.monotonic()
                self.tell(f"{state}, {record['minutes']:.1f} minutes")
