"""`echochamber sweep`: options in, sentences on stderr, the table and the winner's command on stdout."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bot.settings import load_settings
from echochamber.screen import Screen

if TYPE_CHECKING:
    from training.sweep.standings import Standings


def sweep(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    corpus: Annotated[
        list[str], typer.Option(help="As for train, NAME_OR_FOLDER[:WEIGHT]; several are mixed, the show first.")
    ],
    out: Annotated[Path, typer.Option(help="The sweep's folder. The same command again goes on, or helps with it.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, whatever the number of starts.")] = 12,
    minutes_per_trial: Annotated[float, typer.Option(min=0.1, help="Minutes of training a trial.")] = 5.0,
    base: Annotated[str, typer.Option(help="'embedded', a hub id such as microsoft/DialoGPT-small, or a folder.")] = (
        "embedded"
    ),
    persona: Annotated[
        str, typer.Option(help="'all' friends, one of them, any speaker of the corpus, or a TOML file.")
    ] = "all",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Fixes what is tried, and every training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Try recipes in short trainings and recommend one.

    Searched are learning rate, rank, prompt weight, masked share and, with several corpora, the show's share.
    """
    from training.sweep.search import Search  # noqa: PLC0415 - torch loads here, not for --help
    from training.sweep.trials import SweepError  # noqa: PLC0415
    from training.sweep.trials import sweep as run  # noqa: PLC0415

    screen = Screen()
    with screen.refusing(SweepError):
        cache = load_settings().cache_dir
        search = Search(tuple(corpus), out, cache, trials, minutes_per_trial, base, persona, seed, device)
        standings = run(search, screen.tell)
    if as_json:
        typer.echo(json.dumps(standings.to_mapping(), indent=2))
    else:
        _print(standings)


def _print(standings: "Standings") -> None:
    """Print the table, 80 columns wide, and the command in one line, so that it can be copied."""
    table = Table(box=box.SIMPLE, padding=0, pad_edge=False, show_edge=False)
    rows = standings.rows()
    for name, *cells in zip(standings.header(), *rows, strict=True):
        width = max(map(len, [*name.split(), *cells]))  # headers wrap, numbers never
        table.add_column(name, justify="left" if name == "state" else "right", width=width)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    if command := standings.command():
        typer.echo(f"\n{command}")
