"""What the bot really says: thousands of replies through the served path, judged by detectors of their own.

`python -m bench.sent [--replies 2000] [--conversations 50] [--turns 10] [--model DIR] [--seed 0] [--out DIR]
[--at-once 16]`. Strangers of many kinds talk to all characters, and every ordered pair of characters talks to each
other, through replier, chooser and engine as the bot has them. Replies are kept in OUT/replies.jsonl as they come,
and the same command goes on after a kill. Prints OUT/sent.md and writes it with OUT/sent.json.
"""

import argparse
import asyncio
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path

from bench.sent.counting import count
from bench.sent.ledger import Ledger, Sent
from bench.sent.plan import Asked, plan
from bench.sent.report import markdown
from bench.sent.talking import Served, TalkError, hold_all
from bot.app import open_house
from bot.engine.protocol import EngineError, ReplyEngine
from bot.engine.shipped import checkpoint_folder, shipped_checkpoint
from bot.settings import load_settings
from persona.card import CardError, read_card
from persona.characters import Persona, friends

WEIGHTS = ("adapter_model.safetensors", "model.safetensors")


async def talk(
    given: argparse.Namespace,
    asked: Asked,
    personas: tuple[Persona, ...],
    ledger: Ledger,
    engine: ReplyEngine | None = None,
) -> None:
    """Hold the conversations that are missing with the model that the settings and `--model` name, or with `engine`."""
    talks = plan(asked, [one.id for one in personas])
    if len(ledger.sent) >= asked.total:
        return
    async with open_house(load_settings(model=given.model), fresh=True, engine=engine) as house:
        await house.engine.ready()
        show = Progress(asked.total, len(ledger.sent))
        await hold_all(talks, Served(house.chooser, personas), ledger, given.at_once, show)


class Progress:
    """Says now and then how far it is and how long it will take."""

    def __init__(self, total: int, said: int, every: int = 50) -> None:
        self._total, self._said, self._every = total, said, every
        self._begun, self._before = time.monotonic(), said

    def __call__(self, sent: Sent) -> None:
        """Count a reply."""
        self._said += 1
        if self._said % self._every == 0:
            each = (time.monotonic() - self._begun) / (self._said - self._before)
            left = each * (self._total - self._said) / 60
            print(f"{self._said:,} of {self._total:,} replies, {each:.2f} s each, {left:.0f} minutes left", flush=True)


def same_as_before(folder: Path, asked: dict[str, object]) -> None:
    """Keep what was asked in the folder; end the program where something else was asked there before."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "asked.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8")) != asked:
        raise SystemExit(f"{folder} holds replies to something else (see {file}): give another --out")
    file.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Talk, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=2000, help="to strangers")
    parser.add_argument("--conversations", type=int, default=50, help="of two characters")
    parser.add_argument("--turns", type=int, default=10, help="of each of these")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/sent"))
    parser.add_argument("--at-once", type=int, default=16)
    given = parser.parse_args()
    folder = checkpoint_folder(given.model) if given.model else shipped_checkpoint()
    try:
        personas = read_card(folder).characters if folder else friends()
    except CardError as error:
        raise SystemExit(str(error)) from error
    asked = Asked(given.replies, given.conversations, given.turns, given.seed)
    same_as_before(given.out, {**asdict(asked), "model": _checksum(folder), "at_once": given.at_once})
    ledger = Ledger(given.out)
    try:
        asyncio.run(talk(given, asked, personas, ledger))
    except (TalkError, EngineError) as error:
        raise SystemExit(f"{error}; the same command goes on") from error
    except KeyboardInterrupt:
        print("interrupted; the same command goes on")
    found = count(ledger.sent, personas)
    text = markdown(found, wanted=asked.total, at_once=given.at_once)
    print(f"\n{text}")
    (given.out / "sent.md").write_text(text, encoding="utf-8")
    content = {"asked": vars(given) | {"model": str(folder), "out": str(given.out)}, **found.to_mapping()}
    (given.out / "sent.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _checksum(folder: Path | None) -> str:
    """Return the SHA-256 of a checkpoint's weights; of the untouched base its name."""
    for file in (folder / name for name in WEIGHTS) if folder else ():
        if file.is_file():
            with file.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()
    return "embedded"


if __name__ == "__main__":
    main()
