"""A process of its own that answers each line of its input through the scripted engine.

`python talker.py REDIS_URL|FOLDER CHAT`: a folder means a local Valkey server on it. Says "ready",
then for each line the scene that the engine was asked, as JSON.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from bot.conversation import Address
from bot.engine.chooser import Chooser
from bot.engine.scripted import ScriptedEngine
from bot.history import History
from bot.replier import Incoming, Replier
from bot.valkey import local_valkey
from persona.characters import friends


async def main(where: str, chat: str) -> None:
    async with AsyncExitStack() as stack:
        url = where if "://" in where else await stack.enter_async_context(local_valkey(Path(where)))
        engine = ScriptedEngine([lambda request: f"Heard {request.conversation.turns[-1].text}."])
        history = await History.connect(url)
        stack.push_async_callback(history.aclose)
        replier = Replier(Chooser(engine, friends()), history, friends())
        tell("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            now = datetime.now(UTC)
            here = Address("console", "1", chat)
            await replier.reply(Incoming(here, now.isoformat(), "7", "Sam", line.strip(), now))
            tell(json.dumps([[turn.name, turn.text] for turn in engine.asked[-1].conversation.turns]))


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
