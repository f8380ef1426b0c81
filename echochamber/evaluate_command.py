"""`echochamber evaluate`: options in, the measures as a table, as JSON and into the run's report."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bot.settings import load_settings
from echochamber.screen import Screen

if TYPE_CHECKING:
    from training.evaluation.evaluate import Answer

_INTERRUPTED = 130
_PAPER = 140  # columns where there is no terminal


def evaluate(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    model: Annotated[Path, typer.Option(help="A checkpoint folder, or a run's folder.")],
    corpus: Annotated[str, typer.Option(help="A folder in ConvoKit's format, or the name of a ConvoKit corpus.")],
    split: Annotated[str, typer.Option(help="validation, test, left-out or all.")] = "validation",
    full: Annotated[
        bool, typer.Option("--full", help="1,000 scored lines and 2,000 replies (hours), not a sample (10 minutes).")
    ] = False,
    untouched: Annotated[
        bool, typer.Option("--untouched", help="Measure the checkpoint's untouched base instead, to stand beside it.")
    ] = False,
    against: Annotated[
        Path | None, typer.Option(help="A checkpoint to stand beside it, measured before; the last one otherwise.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the measures, and what a stranger was told, into this file.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure what a checkpoint is worth, as it is served, on held-out episodes; interrupted, it goes on."""
    from bot.engine.chooser import ChooserOptions  # noqa: PLC0415 - nothing slow is loaded for --help
    from bot.engine.protocol import Sampling  # noqa: PLC0415 - likewise
    from bot.words import offensive  # noqa: PLC0415 - likewise
    from training.evaluation.evaluate import EvaluationError, Question  # noqa: PLC0415 - torch loads here
    from training.evaluation.evaluate import evaluate as measure  # noqa: PLC0415
    from training.evaluation.plan import FULL, SAMPLE  # noqa: PLC0415

    screen = Screen()
    with screen.refusing(EvaluationError), _going_on_later(screen):
        settings = load_settings()
        size, words = FULL if full else SAMPLE, offensive(settings.filter)
        sampling = Sampling(settings.temperature, settings.top_p, settings.min_p)
        options = ChooserOptions(sampling, settings.longest_reply, settings.candidates)
        question = Question(
            model, corpus, settings.cache_dir, split, size, untouched, against, device, words, options, settings.filter
        )
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=screen.console, transient=True) as bar:
            task = bar.add_task("lines and replies")
            answer = measure(question, screen.tell, lambda done, of: bar.update(task, completed=done, total=of))
    page = Console()
    if not page.is_terminal:
        page.width = max(page.width, _PAPER)
    page.print(table(answer))
    screen.tell(f"All replies are in {answer.pieces}.")
    with screen.refusing(OSError):
        _keep(answer, model, json_file)


@contextmanager
def _going_on_later(screen: Screen) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        screen.tell("Interrupted: the same command goes on.")
        raise typer.Exit(_INTERRUPTED) from error


def table(answer: "Answer") -> Table:
    """Return the measures, one group of rows each, with people's own lines, the base and another model beside them."""
    from training.evaluation.wording import beside, interval, number  # noqa: PLC0415 - likewise

    base, other = answer.base, answer.other
    others = [one for one in (base, other) if one]
    shown = Table(title=Text(answer.result.title))
    heads: list[str | Text] = ["", Text(answer.result.name), "95 % interval", "people"]
    heads += ["untouched base"] * (base is not None) + ([Text(other.name)] if other else [])
    for place, head in enumerate(heads):
        shown.add_column(head, justify="right" if place else "left")
    for measure in answer.result.measures:
        shown.add_section()
        shown.add_row(Text(measure.name, style="bold"))
        for figure in measure.figures:
            if figure.value is not None:
                people = "" if figure.people is None else number(figure, figure.people)
                cells = [number(figure, figure.value), interval(figure), people]
                shown.add_row(Text(f"  {figure.label}"), *cells, *(beside(one, measure, figure) for one in others))
        for note in dict.fromkeys(figure.note for figure in measure.figures if figure.value is None):
            shown.add_row(Text(f"  not measured: {note}"))
    return shown


def _keep(answer: "Answer", model: Path, json_file: Path | None) -> None:
    """Write the answer into a file, and into the report where `model` is a run's folder."""
    from training.report.page import add_evaluation  # noqa: PLC0415 - draws pictures

    text = json.dumps(answer.to_mapping(), indent=1, ensure_ascii=False) + "\n"
    if json_file:
        json_file.write_text(text, encoding="utf-8")
    if (model / "run.json").is_file() and answer.base is not None:
        add_evaluation(model, text)
