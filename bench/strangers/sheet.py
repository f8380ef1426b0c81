"""The sheet that readers judge, and the key that says whose reply is whose."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from persona.characters import Persona, friends
from training.evaluation.pieces import Generated, Ledger
from training.evaluation.plan import Ask, stranger_asks
from training.evaluation.strangers import Prompt, read_prompts
from training.runfolder import replace_text

SHEET, KEY, INSTRUCTIONS, PARTS = "sheet.jsonl", "key.json", "instructions.md", "parts"


Shown = Callable[[Ask, Mapping[int, Generated]], str]
"""Makes what a reader sees of what was asked, from an origin's replies by number."""


class StrangersError(ValueError):
    """Replies, a sheet or verdicts that cannot be used, in one sentence."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a reader sees."""

    id: str
    prompt: str
    character: str
    reply: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply with its origin: `number` is its place among the origin's; `id` is that of its row, "" if it has none.

    A reply without a row is a fallback line: nothing was said, so there is nothing to judge.
    """

    origin: str
    number: int
    id: str = ""


@dataclass(frozen=True, slots=True)
class Dealt:
    """A sheet and its key. `origins` are in the order given: the last one is what the others are compared with.

    `chats` is how many chats the replies come from, 0 where each answers a first message.
    """

    rows: tuple[Row, ...]
    replies: tuple[Reply, ...]
    origins: tuple[str, ...]
    rounds: int
    prompts: tuple[Prompt, ...]
    chats: int = 0

    def group_of(self, ask: Ask) -> str:
        """Return what a reply hangs together with: others to the same prompt, or in the same chat."""
        return f"chat {ask.number % self.chats}" if self.chats else ask.episode

    def kind_of(self, ask: Ask) -> str:
        """Return the heading under which a prompt stands, in words."""
        return self.prompts[ask.number % len(self.prompts)].kind.replace("_", " ")


def message(ask: Ask, replies: Mapping[int, Generated]) -> str:
    """Return what was asked where it is a first message."""
    return ask.message


def deal(files: Mapping[str, Path], seed: int, prompts: Sequence[Prompt] = (), shown: Shown = message) -> Dealt:
    """Shuffle each origin's replies to the prompts, an evaluation's where none are given; raises StrangersError."""
    prompts = tuple(prompts or read_prompts())
    said = {origin: read_replies(file) for origin, file in files.items()}
    rounds = _rounds(files, said, len(prompts))
    asks = asks_of(prompts, rounds)
    asked = [(origin, ask, _text(said[origin][ask.number])) for origin in files for ask in asks]
    spoken = [one for one in asked if one[2]]
    random.Random(f"{seed}:strangers").shuffle(spoken)
    width = len(str(len(spoken)))
    rows, replies = [], []
    for at, (origin, ask, text) in enumerate(spoken, start=1):
        rows.append(Row(f"{at:0{width}}", shown(ask, said[origin]), ask.persona.name, text))
        replies.append(Reply(origin, ask.number, rows[-1].id))
    replies += [Reply(origin, ask.number) for origin, ask, text in asked if not text]
    return Dealt(tuple(rows), tuple(replies), tuple(files), rounds, prompts)


def asks_of(prompts: Sequence[Prompt], rounds: int, personas: Sequence[Persona] | None = None) -> tuple[Ask, ...]:
    """Return what a stranger asks in so many rounds, by number, as an evaluation of the six friends plans it."""
    return tuple(stranger_asks(prompts, personas or friends(), rounds))


def prompts_of(file: Path | None) -> tuple[Prompt, ...]:
    """Return the prompts of a file, those of every evaluation where it is None; raises StrangersError."""
    try:
        prompts = tuple(read_prompts(file))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StrangersError(f"{file} is no list of prompts under headings ({type(error).__name__})") from error
    if not prompts:
        raise StrangersError(f"{file} has no prompts")
    return prompts


def read_replies(file: Path) -> dict[int, Generated]:
    """Return an evaluation's replies to a stranger by number; raises StrangersError."""
    if not file.is_file():
        raise StrangersError(f"there is no file {file} with the pieces of an evaluation")
    found = by_number(Ledger(file))
    if not found:
        raise StrangersError(f"{file} holds no reply to a stranger: give the pieces of an evaluation")
    return found


def by_number(ledger: Ledger) -> dict[int, Generated]:
    """Return a ledger's replies to a stranger by number."""
    return {number: one for (kind, number), one in ledger.replies.items() if kind == "stranger"}


def write(dealt: Dealt, folder: Path, instructions: str, part: int | None = None) -> None:
    """Write sheet, key and instructions into `folder`, and the sheet in parts of `part` rows where asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / KEY).exists():
        raise StrangersError(f"{folder} holds a sheet already, which may have been judged: give another --out")
    replace_text(folder / SHEET, lines(dealt.rows))
    replace_text(folder / INSTRUCTIONS, instructions)
    firsts = range(0, len(dealt.rows), part) if part else range(0)
    width = len(str(len(firsts)))
    for number, first in enumerate(firsts, start=1):
        (folder / PARTS).mkdir(exist_ok=True)
        replace_text(folder / PARTS / f"sheet-{number:0{width}}.jsonl", lines(dealt.rows[first : first + (part or 0)]))
    prompts = [asdict(one) for one in dealt.prompts]
    key = {"origins": dealt.origins, "rounds": dealt.rounds, "replies": [asdict(one) for one in dealt.replies]}
    key |= {"prompts": prompts, "chats": dealt.chats}
    replace_text(folder / KEY, json.dumps(key, indent=1) + "\n")


def read(folder: Path) -> Dealt:
    """Read a sheet and its key back; raises StrangersError."""
    try:
        lines = (folder / SHEET).read_text(encoding="utf-8").splitlines()
        rows = tuple(Row(**json.loads(line)) for line in lines)
        key: dict[str, Any] = json.loads((folder / KEY).read_text(encoding="utf-8"))
        replies = tuple(Reply(**one) for one in key["replies"])
        prompts = tuple(Prompt(**one) for one in key["prompts"])
        dealt = Dealt(rows, replies, tuple(key["origins"]), int(key["rounds"]), prompts, int(key.get("chats", 0)))
    except FileNotFoundError as error:
        raise StrangersError(f"{folder} has no {Path(error.filename).name}: deal a sheet into it first") from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StrangersError(f"sheet or key in {folder} is damaged ({type(error).__name__})") from error
    if sorted(one.id for one in replies if one.id) != sorted(row.id for row in rows):
        raise StrangersError(f"the key in {folder} is that of another sheet")
    return dealt


def _rounds(files: Mapping[str, Path], said: Mapping[str, Mapping[int, Generated]], prompts: int) -> int:
    rounds = -(-(1 + max(max(one) for one in said.values())) // prompts)
    for origin, one in said.items():
        if len(one) < rounds * prompts:
            raise StrangersError(
                f"{files[origin]} has {len(one)} of {rounds * prompts} replies to a stranger: the evaluations must be "
                "of one size, and done"
            )
    return rounds


def _text(said: Generated) -> str:
    """Return a reply on one line, "" where it is a fallback line."""
    return "" if said.fallback else " ".join(said.text.split())


def lines(rows: Sequence[Row]) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in rows)


def in_order(dealt: Dealt) -> Iterator[tuple[Ask, list[Reply]]]:
    """Yield what was asked, by number, with the replies of all origins to it."""
    replies: dict[int, list[Reply]] = {}
    for one in sorted(dealt.replies, key=lambda reply: dealt.origins.index(reply.origin)):
        replies.setdefault(one.number, []).append(one)
    for ask in asks_of(dealt.prompts, dealt.rounds):
        yield ask, replies[ask.number]
