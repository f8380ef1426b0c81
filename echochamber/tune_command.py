"""`echochamber tune`: options in, the weights and what each part is worth as a table or as JSON out."""

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
    from training.tuning.ablation import Share
    from training.tuning.tune import Tuned

_SETS = {
    "same": "of 20, one speaker's",
    "others": "of 10, anybody's",
    "garbled": "of 10, garbled",
    "drawn": "among its own",
    "judged": "among its own",
}


def tune(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    model: Annotated[Path, typer.Option(help="A checkpoint folder, or a run's folder.")],
    corpus: Annotated[
        list[str],
        typer.Option(
            help="A folder in ConvoKit's format, or the name of a ConvoKit corpus; repeat it for what else the "
            "checkpoint learned from. The first is tuned on; with --judged, what length does to a reply is seen in it."
        ),
    ] = [],  # noqa: B006 - Typer reads it, nobody changes it
    judged: Annotated[
        Path | None,
        typer.Option(
            help="Fit the weights to replies that readers judged: a file of JSON lines, each with prompt, character, "
            "reply and counts (true or false)."
        ),
    ] = None,
    contexts: Annotated[
        int,
        typer.Option(min=2, help="How many held-out lines are looked at, or drawn for."),
    ] = 60,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Fixes which, and what is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Tune how a checkpoint's candidate replies are ranked, on held-out episodes or judged replies."""
    from training.tuning.tune import Question, TuningError  # noqa: PLC0415 - torch loads here, not for --help
    from training.tuning.tune import tune as run  # noqa: PLC0415

    screen = Screen()
    with screen.refusing(TuningError):
        cache = load_settings().cache_dir
        question = Question(model, tuple(corpus), cache, contexts, seed=seed, device=device, judged=judged)
        with Progress(console=screen.console, transient=True) as bar:
            task = bar.add_task("reading held-out lines")
            tuned = run(question, screen.tell, lambda done, of: bar.update(task, completed=done, total=of))
    if as_json:
        typer.echo(json.dumps(tuned.to_mapping(), indent=2))
    else:
        Console().print(table(tuned))
        for part in tuned.refused:
            screen.tell(f"{part} came out below 0, so it has no weight.")


def table(tuned: "Tuned") -> Table:
    """Return what each part weighs, costs a reply and is worth: how often what ought to comes first with it."""
    sets = [key for key in _SETS if key in tuned.rows[0].first]
    shown = Table(title=Text(tuned.title))
    for column in ("", "weight", "ms", *(_SETS[key] for key in sets), "change"):
        shown.add_column(column, justify="right" if column else "left")
    weights = tuned.weights.by_part()
    for row in tuned.rows:
        part = row.name.removeprefix("without ")
        weight = f"{weights[part]:.4f}" if part in weights else ""
        cost = f"{tuned.milliseconds[part]:.0f}" if part in tuned.milliseconds else ""
        shown.add_row(row.name, weight, cost, *(_percent(row.first[key]) for key in sets), _percent(row.difference))
    return shown


def _percent(found: "Share") -> str:
    value, low, high = (f"{100 * one:.1f}" for one in found)
    return f"{value} % ({low} to {high})"
