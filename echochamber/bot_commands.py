"""`echochamber chat` and `echochamber run`: options in, a running house and an exit code out."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from bot import logs
from bot.app import BROKEN, MISCONFIGURED, open_house
from bot.app import main as run_bot
from bot.engine.local import left_behind
from bot.engine.protocol import EngineError, ReplyEngine
from bot.platforms.console import ConsoleOptions, run_console
from bot.platforms.talk import sentence
from bot.serving import say, set_by_signals
from bot.settings import Settings, load_settings

_TYPED = "typed-lines"
_SECONDS_A_DAY = 24 * 60 * 60


def chat(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    persona: Annotated[str | None, typer.Option(help="Who answers, from now on: an id, name or alias.")] = None,
    model: Annotated[Path | None, typer.Option(help="A checkpoint's folder (the model that ships).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each reply as a JSON object on a line.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start empty and store nothing.")] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="Repeat a piped conversation; implies --fresh.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, mps.")] = None,
) -> None:
    """Talk to a character, in the terminal or through a pipe.

    Piped, each line that is said gets one line on stdout; commands such as /help answer on stderr.
    """
    try:
        settings = load_settings(model=model, device=device)
        logs.set_up("ERROR")  # what a person here needs to know is said in sentences
        fresh = fresh or seed is not None
        options = ConsoleOptions(persona, as_json, None if fresh else _typed_lines(settings))
        code = asyncio.run(_chat(settings, options, fresh=fresh, seed=seed))
    except KeyboardInterrupt:  # before the event loop listens to signals
        code = 0
    except MISCONFIGURED as error:
        say(sentence(str(error)))
        code = 2
    except (*BROKEN, EngineError) as error:
        say(sentence(str(error)))
        code = 1
    _leave(code)


def run() -> None:
    """Answer on Discord and Telegram, whichever has a token in the environment or in .env."""
    raise typer.Exit(run_bot())


async def _chat(settings: Settings, options: ConsoleOptions, *, fresh: bool, seed: int | None) -> int:
    stop = asyncio.Event()
    with set_by_signals(stop):
        async with open_house(settings, fresh=fresh, seed=seed) as house:
            await run_console(house.replier, _loaded(house.engine), options, stop)
    return 0


async def _loaded(engine: ReplyEngine) -> str | None:
    return (await engine.ready()).notice


def _typed_lines(settings: Settings) -> Path:
    """Return the file of the arrow keys' history, which lives no longer than the conversations do."""
    path = settings.data_dir / _TYPED
    try:
        if time.time() - path.stat().st_mtime > settings.history_days * _SECONDS_A_DAY:
            path.unlink()
    except OSError:
        pass  # there is none yet
    return path


def _leave(code: int) -> None:
    """End the process; at once where a model is still loading, which would not let the interpreter end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more Ctrl-C says nothing
    if left_behind():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    raise typer.Exit(code)
