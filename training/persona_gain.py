"""Persona gain: how much likelier a true line is under its speaker's name than under the others'.

A model that has learned the show but not who speaks gives every name the same words. The measure
takes true held-out lines, keeps what was said before, and changes nothing but the name in front.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch

from persona.dialogue import Scene, Turn
from persona.lines import teaches
from persona.screenplay import Screenplay
from training.measures import LearnedLoss

CONTEXT, NAMES, _LONGEST = 48, 6, 40
_TURNS_BEFORE = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A true line: token ids of its context, of each name's header (its speaker's first) and of what is said.

    Without names, the context's last token stands as everybody's header: all names are alike, and the gain is 0.
    `size` is the text's length in UTF-8 bytes.
    """

    context: tuple[int, ...]
    headers: tuple[tuple[int, ...], ...]
    said: tuple[int, ...]
    size: int

    @property
    def tokens(self) -> int:
        """Return the tokens that scoring it under every name computes."""
        return len(self.context) + sum(len(header) + len(self.said) for header in self.headers)


def choose_lines(
    scenes: Sequence[Scene], screenplay: Screenplay, taught: Collection[str], tokens: int, seed: int
) -> list[Line]:
    """Choose lines of the taught whose scoring computes about `tokens` tokens; none where one name speaks alone."""
    names = _names(scenes, taught)
    places = [
        (scene, at)
        for scene in scenes
        for at, turn in enumerate(scene.turns)
        if at >= _TURNS_BEFORE and turn.name in names and teaches(turn, taught)
    ]
    random.Random(f"{seed}:gain").shuffle(places)  # noqa: S311 - sampling, not secrets
    chosen: list[Line] = []
    for line in _lines(places, screenplay, names) if len(names) > 1 else ():
        if chosen and sum(one.tokens for one in chosen) + line.tokens > tokens:
            break
        chosen.append(line)
    return chosen


def persona_gain(
    model: LearnedLoss, lines: Sequence[Line], device: torch.device, autocast: torch.dtype | None
) -> float:
    """Return the mean gain in bits a byte: other names' bits less the speaker's own, over the lines' bytes."""
    was_training = model.training
    model.eval()
    gained, size = 0.0, 0
    with torch.autocast(device.type, dtype=autocast or torch.float32, enabled=autocast is not None):
        for line in lines:
            own, *others = nats_by_name(model, line, device)
            gained += sum(others) / len(others) - own
            size += line.size
    model.train(was_training)
    return gained / math.log(2) / size if size else 0.0


@torch.no_grad()
def nats_by_name(model: LearnedLoss, line: Line, device: torch.device) -> list[float]:
    """Return the nats of what is said (its end too) under each name; the context is computed once."""
    decoder = model.core.get_decoder()
    context = torch.tensor([line.context], device=device)
    cache = decoder(input_ids=context, use_cache=True).past_key_values
    cache.batch_repeat_interleave(len(line.headers))
    rows = [[*header, *line.said] for header in line.headers]
    longest, before = max(map(len, rows)), len(line.context)
    # Padding stands behind all that is read, and attention is causal: its id is of no matter.
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    places = torch.arange(before, before + longest, device=device).expand(len(rows), -1)
    mask = torch.ones(len(rows), before + longest, dtype=torch.long, device=device)
    hidden = decoder(
        input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True
    ).last_hidden_state
    said = torch.tensor(line.said, device=device)
    starts = [len(header) - 1 for header in line.headers]
    reading = torch.stack([hidden[row, start : start + len(said)] for row, start in enumerate(starts)])
    logits = model.core.get_output_embeddings()(reading).float()
    nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), said.expand(len(rows), -1), reduction="none")
    return [float(one) for one in nats.double().sum(dim=1)]


def _names(scenes: Sequence[Scene], taught: Collection[str]) -> list[str]:
    """Return the names that compete: the taught who speak here, then who else says most."""
    lines = Counter(turn.name for scene in scenes for turn in scene.turns)
    ordered = sorted(lines, key=lambda name: (name not in taught, -lines[name], name))
    return ordered[:NAMES]


def _lines(places: Sequence[tuple[Scene, int]], screenplay: Screenplay, names: Sequence[str]) -> Iterator[Line]:
    for scene, at in places:
        turn = scene.turns[at]
        said = tuple(screenplay.said(turn.text))
        before = [token for one in _before(scene, at) for token in screenplay.turn(one, learned=False).ids]
        if len(said) <= _LONGEST and before:
            ordered = [turn.name, *(name for name in names if name != turn.name)]
            headers = tuple(tuple(screenplay.header(name)) for name in ordered)
            if not screenplay.format.named:
                headers = (tuple(before[-1:]),) * len(ordered)
                del before[-1]
            yield Line(tuple(before[-CONTEXT:]), headers, said, len(turn.text.encode()))


def _before(scene: Scene, at: int) -> Iterator[Turn]:
    return itertools.islice(scene.turns, max(0, at - 4), at)
