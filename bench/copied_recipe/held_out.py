"""The same held-out lines for every recipe: which they are, and what a model pays for them, in bits a byte."""

import math
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import torch

from persona.dialogue import Scene, Turn
from persona.lines import teaches
from persona.screenplay import Screenplay

LINES, CONTEXT = 300, 400
ROWS, LOGITS = 8, 512  # so many are computed at once: both bound the memory, whatever the lines


class Line(NamedTuple):
    """The turn `place` of `scene`."""

    scene: Scene
    place: int

    @property
    def turn(self) -> Turn:
        """Return the line itself."""
        return self.scene.turns[self.place]

    @property
    def before(self) -> tuple[Turn, ...]:
        """Return all turns of the scene in front of the line."""
        return self.scene.turns[: self.place]

    @property
    def size(self) -> int:
        """Return the UTF-8 bytes of what is said."""
        return len(self.turn.text.encode())


class Asked(NamedTuple):
    """A line as token ids: what stands before it, and what is to be guessed (the end of turn too)."""

    context: list[int]
    said: list[int]

    @property
    def tokens(self) -> int:
        """Return the length of both."""
        return len(self.context) + len(self.said)


def held_out_lines(scenes: Sequence[Scene], taught: Collection[str], count: int | None = LINES) -> list[Line]:
    """Draw `count` lines (None: all) that `taught` would learn, always the same, in the order of the transcript."""
    lines = [Line(scene, place) for scene in scenes for place, turn in enumerate(scene.turns) if teaches(turn, taught)]
    drawn = random.Random(0).sample(range(len(lines)), len(lines) if count is None else min(count, len(lines)))
    return [lines[place] for place in sorted(drawn)]


def screenplay_of(line: Line, screenplay: Screenplay) -> Asked:
    """Write a line in a model's own format, as it is served: the turns of its scene that fit."""
    return Asked(screenplay.prompt(line.before, line.turn.name, CONTEXT), screenplay.said(line.turn.text))


def bits_per_byte(model: Any, lines: Sequence[Line], ask: Callable[[Line], Asked]) -> float:
    """Return the bits that a byte of the lines costs in the model's own precision, read in evaluation mode."""
    nats = nats_by_line(model, [ask(line) for line in lines])
    return sum(nats) / math.log(2) / sum(line.size for line in lines)


@torch.no_grad()
def nats_by_line(model: Any, asked: Sequence[Asked]) -> list[float]:
    """Return the nats that each line costs, its end of turn included, at its place; read in evaluation mode."""
    by_length = sorted(range(len(asked)), key=lambda place: asked[place].tokens)
    nats = [0.0] * len(asked)
    model.eval()
    for first in range(0, len(asked), ROWS):
        places = by_length[first : first + ROWS]
        for place, one in zip(places, _nats(model, [asked[at] for at in places]), strict=True):
            nats[place] = one
    return nats


def _nats(model: Any, rows: Sequence[Asked]) -> list[float]:
    longest = max(row.tokens for row in rows)
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    guessed = torch.zeros((len(rows), longest), dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : row.tokens] = torch.tensor(row.context + row.said)
        guessed[number, len(row.context) : row.tokens] = True
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = core.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][guessed[:, 1:]]
    head, cost = core.get_output_embeddings(), torch.nn.functional.cross_entropy
    parts = zip(torch.split(hidden, LOGITS), torch.split(ids[guessed], LOGITS), strict=True)
    nats = torch.cat([cost(head(states).float(), said, reduction="none") for states, said in parts])
    return [float(one.double().sum()) for one in torch.split(nats, [len(row.said) for row in rows])]
