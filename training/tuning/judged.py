"""Judged replies as a ranking sees them: what readers would have sent, beside what they would not."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from persona.dialogue import Scene
from training.judged import Judged
from training.tuning.ablation import matrix
from training.tuning.contexts import Context
from training.tuning.reading import Read


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


def context_of(judged: Judged) -> Context:
    """Return judged replies as a context whose replies are the good ones, then the bad."""
    first, *rest = (*judged.good, *judged.bad)
    return Context(judged.scene.episode, Scene(judged.turns), judged.persona, first, tuple(rest))


def judged_replies(judged: Judged, read: Read, brevity: Mapping[str, float]) -> JudgedReplies:
    """Return what was read of the replies, each part held against the others, `brevity` allowed for."""
    return JudgedReplies(read.context.episode, matrix(read.replies, brevity), len(judged.good))
