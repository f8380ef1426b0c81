"""A process that talks at its own terminal or pipes through the scripted engine.

`python console_talker.py [--typed FILE] [--load-fails] [--slow] [--json] REPLY...`
"""

import argparse
import asyncio
import sys
from pathlib import Path

from bot.engine.chooser import Chooser
from bot.engine.protocol import EngineError
from bot.engine.scripted import ScriptedEngine
from bot.ephemeral import EphemeralHistory
from bot.platforms.console import ConsoleOptions, run_console
from bot.replier import Replier, ReplierOptions
from bot.serving import set_by_signals
from persona.characters import friends


async def loaded(*, fails: bool) -> str | None:
    if fails:
        raise EngineError("the model is broken")
    return "This is only a script."


async def main(given: argparse.Namespace) -> None:
    engine = ScriptedEngine(given.replies, step=60.0 if given.slow else 0.0)
    replier = Replier(Chooser(engine, friends()), EphemeralHistory(), friends(), ReplierOptions(days=None))
    options = ConsoleOptions(given.persona, given.json, given.typed)
    stop = asyncio.Event()
    with set_by_signals(stop):
        await run_console(replier, loaded(fails=given.load_fails), options, stop)
    for request in engine.asked:
        sys.stderr.write(f"asked {[(turn.name, turn.text) for turn in request.conversation.turns]}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("replies", nargs="+")
    parser.add_argument("--typed", type=Path)
    parser.add_argument("--persona")
    for flag in ("--load-fails", "--slow", "--json"):
        parser.add_argument(flag, action="store_true")
    asyncio.run(main(parser.parse_args()))
