"""`echochamber compare`: options in, a table or JSON out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from bot.settings import load_settings
from echochamber.screen import Screen

if TYPE_CHECKING:
    from training.compare import Answer


def compare(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    model: Annotated[Path, typer.Option(help="A checkpoint folder, or a run's folder.")],
    corpus: Annotated[str, typer.Option(help="A folder in ConvoKit's format, or the name of a ConvoKit corpus.")],
    split: Annotated[str, typer.Option(help="validation, test, left-out or all.")] = "validation",
    against: Annotated[
        Path | None, typer.Option(help="Compare with this checkpoint or run instead of the untouched base.")
    ] = None,
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Read only so many scenes, drawn at random and always the same ones.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the measures, by episode too, into this file.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Compare two checkpoints, or one and its untouched base, on every held-out line: bits per byte."""
    from training.compare import CompareError, Question  # noqa: PLC0415 - torch loads here, not for --help
    from training.compare import compare as measure  # noqa: PLC0415

    screen = Screen()
    with screen.refusing(CompareError):
        question = Question(model, corpus, load_settings().cache_dir, split, device, scenes, against)
        with Progress(console=screen.console, transient=True) as bar:
            task = bar.add_task("reading held-out scenes")
            answer = measure(question, lambda done, of: bar.update(task, completed=done, total=of))
    Console().print(_comparison(answer))
    if json_file:
        with screen.refusing(OSError):
            json_file.write_text(json.dumps(answer.to_mapping(), indent=2) + "\n", encoding="utf-8")


def _comparison(answer: "Answer") -> Table:
    """Return a comparison as a table; a perplexity a token says something only between equal tokenizers."""
    table = Table(title=Text(answer.title))
    for column in ("", "bits per byte", "perplexity a token"):
        table.add_column(column, justify="right" if column else "left")
    ours, theirs = answer.ours.total, answer.theirs.total
    same = ours.tokens == theirs.tokens
    for name, sums in ((answer.against or "untouched base", theirs), ("this checkpoint", ours)):
        table.add_row(Text(name), f"{sums.bits_per_byte:.4f}", f"{sums.perplexity:.2f}" if same else "")
    value, low, high = (f"{100 * (ratio - 1):+.1f} %" for ratio in answer.ratio)
    table.add_row("difference", f"{value} ({low} to {high})", "")
    return table
