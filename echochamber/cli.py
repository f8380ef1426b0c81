"""`echochamber`: one command line for everything.

Only the command that is asked for is imported, so that help and the first prompt come at once.
"""

import sys
from collections.abc import Callable
from typing import Any

import typer

Command = Callable[..., Any]


def _chat() -> Command:
    from echochamber.bot_commands import chat  # noqa: PLC0415 - see the module's first lines

    return chat


def _run() -> Command:
    from echochamber.bot_commands import run  # noqa: PLC0415

    return run


def _train() -> Command:
    from echochamber.training_commands import train  # noqa: PLC0415

    return train


def _evaluate() -> Command:
    from echochamber.evaluate_command import evaluate  # noqa: PLC0415

    return evaluate


def _compare() -> Command:
    from echochamber.compare_command import compare  # noqa: PLC0415

    return compare


def _sweep() -> Command:
    from echochamber.sweep_command import sweep  # noqa: PLC0415

    return sweep


def _tune() -> Command:
    from echochamber.tune_command import tune  # noqa: PLC0415

    return tune


def _corpus() -> typer.Typer:
    from echochamber.corpus_commands import corpus  # noqa: PLC0415

    return corpus


def _average() -> Command:
    from echochamber.average_command import average  # noqa: PLC0415

    return average


def _export() -> Command:
    from echochamber.export_command import export  # noqa: PLC0415

    return export


COMMANDS: dict[str, tuple[str, Callable[[], Command | typer.Typer]]] = {
    "chat": ("Talk to a character, in the terminal or through a pipe.", _chat),
    "run": ("Answer on Discord and Telegram, whichever has a token.", _run),
    "corpus": ("Make a corpus of your own chats, and look into any corpus.", _corpus),
    "train": ("Teach a base model how the characters of a corpus talk.", _train),
    "sweep": ("Try recipes in short trainings and recommend one.", _sweep),
    "evaluate": ("Measure what a checkpoint is worth, as it is served, on held-out episodes.", _evaluate),
    "compare": ("Compare two checkpoints on every held-out line, teacher-forced.", _compare),
    "tune": ("Tune how a checkpoint's candidate replies are ranked.", _tune),
    "average": ("Average adapters that went on from one another.", _average),
    "export": ("Write a trained model for other programs, or publish it.", _export),
}


def app(wanted: str | None) -> typer.Typer:
    """Return the command line with the command or group `wanted` in full and the others by name only."""
    whole = typer.Typer(
        name="echochamber",
        help="From a show's transcripts to a character people enjoy talking to.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    whole.callback()(_nothing)
    for name, (about, load) in COMMANDS.items():
        loaded = load() if name == wanted else None
        if isinstance(loaded, typer.Typer):
            whole.add_typer(loaded, name=name)
        else:
            whole.command(name, help=None if loaded else about)(loaded or _nothing)
    return whole


def main() -> None:
    """Run the command that the arguments name."""
    wanted = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)
    app(wanted)(prog_name="echochamber")


def _nothing() -> None:
    """Stand for a command that was not asked for."""
