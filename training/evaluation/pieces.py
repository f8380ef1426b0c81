"""What is found piece by piece: a scored line or a reply, each kept as soon as it is known. No line of a corpus is."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from training.evaluation.plan import Plan


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """What the model thinks of the line `number` of the plan; log-probabilities in nats, end of turn included.

    `here` is the line's after its scene under each character's name, `nowhere` the same after no
    conversation. `among` are (after the scene, after none, tokens) of the true line and then of the
    others it is to be found among; empty where the plan has none.
    """

    number: int
    tokens: int
    here: Mapping[str, float]
    nowhere: Mapping[str, float]
    among: tuple[tuple[float, float, int], ...] = ()


class Draft(NamedTuple):
    """A candidate before the guard, and why it was refused."""

    text: str
    finish_reason: str
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Generated:
    """What was sent as reply `number` of `kind` ("scene" or "stranger"), with all candidates drawn for it.

    `fallback` says that none might be said: `text` is empty then.
    """

    kind: str
    number: int
    text: str
    finish_reason: str
    fallback: bool
    drafts: tuple[Draft, ...]
    seconds: float = 0.0


Piece = ScoredLine | Generated


class Ledger:
    """The pieces in a file, in the order in which they came; a last line cut by a kill is dropped."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.lines: dict[int, ScoredLine] = {}
        self.replies: dict[tuple[str, int], Generated] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = 0
        for text in self._kept():
            try:
                self._remember(_piece(json.loads(text)))
            except (KeyError, TypeError, ValueError):
                break
            whole += len(text)
        if file.is_file() and file.stat().st_size != whole:
            with file.open("r+b") as opened:
                opened.truncate(whole)

    def has(self, plan: Plan) -> bool:
        """Say whether all pieces of a plan are there."""
        return all(one.number in self.lines for one in plan.lines) and all(
            (one.kind, one.number) in self.replies for one in plan.asks
        )

    def add(self, piece: Piece) -> None:
        """Keep a piece."""
        content = {"piece": "line" if isinstance(piece, ScoredLine) else "reply", **asdict(piece)}
        with self._file.open("ab") as opened:
            opened.write(json.dumps(content).encode() + b"\n")
        self._remember(piece)

    def _kept(self) -> Iterator[bytes]:
        if self._file.is_file():
            with self._file.open("rb") as opened:
                yield from (line for line in opened if line.endswith(b"\n"))

    def _remember(self, piece: Piece) -> None:
        if isinstance(piece, ScoredLine):
            self.lines[piece.number] = piece
        else:
            self.replies[piece.kind, piece.number] = piece


def _piece(content: dict[str, Any]) -> Piece:
    kind = content.pop("piece")
    known = {one.name for one in fields(ScoredLine if kind == "line" else Generated)}
    values = {key: value for key, value in content.items() if key in known}
    if kind == "line":
        among = tuple((float(here), float(nowhere), int(tokens)) for here, nowhere, tokens in values.pop("among"))
        return ScoredLine(among=among, **values)
    return Generated(drafts=tuple(Draft(*one) for one in values.pop("drafts")), **values)
