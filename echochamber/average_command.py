"""`echochamber average`: several adapters in, their mean as a new folder out."""

from pathlib import Path
from typing import Annotated

import typer

from echochamber.screen import Screen


def average(
    model: Annotated[list[Path], typer.Option(help="An adapter's folder, or a run's; give it for each.")],
    out: Annotated[Path, typer.Option(help="The folder to make; it must not be there yet.")],
    weight: Annotated[
        list[float],
        typer.Option(min=0.0, help="How much each counts, in the order of the models (all alike)."),
    ] = [],  # noqa: B006 - Typer reads it, nobody changes it
    strength: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="How much of what the mean adds to the base is kept.")
    ] = 1.0,
) -> None:
    """Average adapters that went on from one another: the mean is often better than each.

    What is not averaged is the last one's, the ranking among it: run tune, then compare and evaluate.
    """
    from training.average import Average, AverageError  # noqa: PLC0415 - torch loads here, not for --help
    from training.average import average as run  # noqa: PLC0415

    with Screen().refusing(AverageError):
        typer.echo(run(Average(tuple(model), out, tuple(weight), strength)))
