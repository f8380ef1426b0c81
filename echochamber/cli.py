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
    from echochamber.training_commands import evaluate  # noqa: PLC0415

    return evaluate


COMMANDS: dict[str, tuple[str, Callable[[], Command]]] = {
    "chat": ("Talk to a character, in the terminal or through a pipe.", _chat),
    "run": ("Answer on Discord and Telegram, whichever has a token.", _run),
    "train": ("Teach a base model how the characters of a corpus talk.", _train),
    "evaluate": ("Measure a checkpoint on held-out episodes, beside its untouched base.", _evaluate),
}


def app(wanted: str | None) -> typer.Typer:
    """Return the command line with the command `wanted` in full and the others by name only."""
    whole = typer.Typer(
        name="echochamber",
        help="From a show's transcripts to a character people enjoy talking to.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    whole.callback()(_nothing)
    for name, (about, load) in COMMANDS.items():
        whole.command(name, help=None if name == wanted else about)(load() if name == wanted else _nothing)
    return whole


def main() -> None:
    """Run the command that the arguments name."""
    wanted = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)
    app(wanted)(prog_name="echochamber")


def _nothing() -> None:
    """Stand for a command that was not asked for."""
