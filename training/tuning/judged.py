"""Replies that readers judged: a model's own candidates, and which of them they would have wanted to be sent.

True lines teach a ranking what the show is like; only readers can say which of eight answers to a stranger
is a good one (Stiennon et al. 2020, "Learning to summarize from human feedback", rank by what people prefer).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from persona.ranking import Usual
from training.corpus import CorpusError
from training.tuning.ablation import matrix
from training.tuning.contexts import Context
from training.tuning.reading import Read

FEWEST = 2
_FIELDS = {"prompt": str, "character": str, "reply": str, "counts": bool}


@dataclass(frozen=True, slots=True)
class Judged:
    """What `persona` answered to the message of a stranger: `good` replies count, `bad` ones do not."""

    said: str
    persona: Persona
    good: tuple[str, ...]
    bad: tuple[str, ...]

    @property
    def context(self) -> Context:
        """Return it as a context whose replies are the good ones, then the bad."""
        first, *rest = (*self.good, *self.bad)
        name = f"{self.persona.id}: {self.said}"
        return Context(name, Scene((Turn(GUEST, self.said),)), self.persona, first, tuple(rest))


@dataclass(frozen=True, slots=True)
class JudgedReplies:
    """The replies to a message, a row each, the first `good` of them good ones."""

    episode: str
    replies: Tensor
    good: int

    def taught(self) -> list[Tensor]:
        """Return what weights are fitted to: each good reply, with all the bad ones."""
        bad = self.replies[self.good :]
        return [torch.cat([one[None], bad]) for one in self.replies[: self.good]]

    def first(self, weights: Tensor) -> dict[str, bool]:
        """Say whether a good one scores above every bad one."""
        scores = self.replies @ weights
        return {"judged": bool(scores[: self.good].max() > scores[self.good :].max())}


def read_judged(file: Path, personas: Sequence[Persona]) -> list[Judged]:
    """Read a file of JSON lines, each a `prompt`, a `character` (id or name), a `reply`, and whether it `counts`.

    Of messages whose replies all count, or none of them, nothing can be learned: they are left out.
    Raises CorpusError in one sentence.
    """
    known = {name: one for one in personas for name in (one.id, one.name)}
    found: dict[tuple[str, str], dict[str, bool]] = {}
    for number, line in enumerate(_lines(file), 1):
        row = _row(line)
        if row is None:
            raise CorpusError(f"line {number} of {file} is no judged reply: it needs {', '.join(_FIELDS)}")
        if persona := known.get(row["character"]):
            found.setdefault((row["prompt"], persona.id), {})[row["reply"]] = row["counts"]
    judged = [
        Judged(
            said,
            known[who],
            tuple(text for text, counts in replies.items() if counts),
            tuple(text for text, counts in replies.items() if not counts),
        )
        for (said, who), replies in found.items()
    ]
    judged = [one for one in judged if one.good and one.bad]
    if len(judged) < FEWEST:
        raise CorpusError(f"{file} has too few messages to which the checkpoint's characters gave good and bad replies")
    return judged


def judged_replies(judged: Judged, read: Read, usual: Mapping[str, Usual]) -> JudgedReplies:
    """Return what was read of the replies, each part held against what is `usual`."""
    return JudgedReplies(read.context.episode, matrix(read.replies, usual), len(judged.good))


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"the judged replies in {file} cannot be read: {error}") from error


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    fits = isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in _FIELDS.items())
    return row if fits else None
