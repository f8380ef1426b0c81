"""A process of its own that runs the house with a platform that says when it is up and down.

`python house.py FOLDER polite|deaf`: the deaf one does not care that it is told to stop.
"""

import asyncio
import sys

from bot.app import run
from bot.engine.scripted import ScriptedEngine
from bot.settings import load_settings


def tell(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


class Listener:
    """A platform without people."""

    def __init__(self, *, deaf: bool) -> None:
        self._deaf = deaf

    async def run(self, stop: asyncio.Event) -> None:
        tell("up")
        await (asyncio.Event() if self._deaf else stop).wait()
        tell("down")


def main(folder: str, manners: str) -> int:
    settings = load_settings(None, data_dir=folder)
    makers = {"Listener": lambda replier: Listener(deaf=manners == "deaf")}
    return asyncio.run(run(settings, makers=makers, engine=ScriptedEngine(["Hi."])))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
