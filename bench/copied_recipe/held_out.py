"""The same held-out lines for every recipe: which they are, and what a model pays for them, in bits a byte."""

import math
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import torch

from persona.dialogue import Scene, Turn
from persona.lines import teaches
from persona.screenplay import Screenplay

LINES, CONTEXT, ROWS = 300, 400, 8


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


class Asked(NamedTuple):
    """A line as token ids: what stands before it, and what is to be guessed (the end of turn too)."""

    context: list[int]
    said: list[int]


def held_out_lines(scenes: Sequence[Scene], taught: Collection[str], count: int = LINES) -> list[Line]:
    """Draw `count` lines that `taught` would learn, always the same ones, in the order of the transcript."""
    lines = [Line(scene, place) for scene in scenes for place, turn in enumerate(scene.turns) if teaches(turn, taught)]
    drawn = random.Random(0).sample(range(len(lines)), min(count, len(lines)))
    return [lines[place] for place in sorted(drawn)]


def screenplay_of(line: Line, screenplay: Screenplay) -> Asked:
    """Write a line in a model's own format, as it is served: the turns of its scene that fit."""
    return Asked(screenplay.prompt(line.before, line.turn.name, CONTEXT), screenplay.said(line.turn.text))


@torch.no_grad()
def bits_per_byte(model: Any, lines: Sequence[Line], ask: Callable[[Line], Asked]) -> float:
    """Return the bits that a byte of the lines costs in the model's own precision, read in evaluation mode."""
    asked = sorted(map(ask, lines), key=lambda one: len(one.context) + len(one.said))
    model.eval()
    nats = sum(_nats(model, asked[first : first + ROWS]) for first in range(0, len(asked), ROWS))
    return nats / math.log(2) / sum(len(line.turn.text.encode()) for line in lines)


def _nats(model: Any, rows: Sequence[Asked]) -> float:
    longest = max(len(row.context) + len(row.said) for row in rows)
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    guessed = torch.zeros((len(rows), longest), dtype=torch.bool)
    for number, row in enumerate(rows):
        end = len(row.context) + len(row.said)
        ids[number, :end] = torch.tensor(row.context + row.said)
        guessed[number, len(row.context) : end] = True
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = core.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    logits = core.get_output_embeddings()(hidden[:, :-1][guessed[:, 1:]]).float()
    return float(torch.nn.functional.cross_entropy(logits, ids[guessed], reduction="sum"))
