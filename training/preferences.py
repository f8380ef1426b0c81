"""Preferences: a reply that readers would have sent shall be likelier than one that they would not.

The model's own candidates for one message stand in one window, behind what was said before, each in a
branch that sees only that and itself (as in `training.contrast`). The good ones are learned like any
taught line. Of each good one and each bad one the loss added is that of SimPO (Meng et al. 2024,
arXiv:2405.14734): a logistic loss on the difference of their nats a token, which is also what replies are
drawn and ranked by, so no reference model is needed; that the good ones are learned, and that the show and
exchanges are read beside them, keeps the rest of what the model knows in place.
"""

import random
from collections.abc import Mapping, Sequence
from itertools import count, zip_longest
from typing import NamedTuple

import torch
from torch.nn.functional import softplus

from persona.dialogue import Scene
from training.judged import Judged
from training.samples import Sampler, Turns, mask_a_speaker
from training.windows import Reply, Window, together

SHARPNESS, MARGIN = 2.0, 1.0
MOST = 3  # of each kind in a window: more pairs of one message teach less than another message does


class Preferences(NamedTuple):
    """Which replies of a batch are to be likelier than which.

    `replies` (rows, longest) has the number of the reply that a token is part of, from 1 on, else 0. The
    n-th pair says that reply `better[n]` shall be likelier than `worse[n]`, and `stakes[n]` weighs it.
    """

    replies: torch.Tensor
    better: torch.Tensor
    worse: torch.Tensor
    stakes: torch.Tensor


class JudgedSampler(Sampler):
    """Makes windows of judged replies; what is held out is read as a scene is, with a good reply as its last line."""

    def __init__(self, screenplay: Turns, judged: Sequence[Judged], *, window: int) -> None:
        super().__init__(screenplay, {one.persona.name for one in judged}, window=window, masked_share=1.0)
        self.judged: Mapping[str, Judged] = {one.name: one for one in judged}

    def epoch(self, scenes: Sequence[Scene], seed: int, epoch: int) -> list[Window]:
        """Return a window for each scene with room for a pair, the stranger under another name in every pass."""
        windows = []
        for scene in scenes:
            draw = random.Random(f"{seed}:{epoch}:{scene.id}")  # noqa: S311 - sampling, not secrets
            shown, _ = mask_a_speaker(scene, self.taught, draw)
            window = self._of_judged(shown, self.judged[scene.id], draw)
            windows += [window] if window else []
        return windows

    def _of_judged(self, scene: Scene, judged: Judged, draw: random.Random) -> Window | None:
        """Return up to three replies of each kind behind what was said, as many as fit; None where no pair does."""
        before = [one for turn in scene.turns[:-1] for one in self.screenplay.turn(turn, learned=False).ids]
        header = self.screenplay.header(judged.persona.name)
        room = self.window - len(before)
        replies: list[Reply] = []
        for text, good in _drawn(judged.good, judged.bad, draw):
            reply = Reply(header, self.screenplay.said(text), len(text.encode()), good)
            if reply.tokens <= room:
                room -= reply.tokens
                replies.append(reply)
        if {one.good for one in replies} != {True, False}:
            return None
        return together(before, replies, scene.episode)


def _drawn(good: Sequence[str], bad: Sequence[str], draw: random.Random) -> list[tuple[str, bool]]:
    """Return replies with whether they are good: one of each kind, then another of each."""
    goods = [(text, True) for text in draw.sample(good, min(MOST, len(good)))]
    bads = [(text, False) for text in draw.sample(bad, min(MOST, len(bad)))]
    return [one for pair in zip_longest(goods, bads) for one in pair if one]


def chosen(windows: Sequence[Window], longest: int) -> dict[str, torch.Tensor]:
    """Return what the choices of `windows` change in their tensors, padded to `longest`, and a batch's preferences.

    The mask is (rows, 1, longest, longest). Where no window has both good and bad replies nothing is preferred.
    """
    rows = len(windows)
    mask = torch.eye(longest, dtype=torch.bool).expand(rows, 1, -1, -1).clone()  # padding must see something: itself
    places = torch.zeros((rows, longest), dtype=torch.long)
    for row, window in enumerate(windows):
        before = window.choices[0].begin if window.choices else len(window.ids)
        mask[row, 0, :before, :before] = _past(before)
        places[row, :before] = torch.arange(before)
        for one in window.choices:
            size = one.stop - one.begin
            mask[row, 0, one.begin : one.stop, :before] = True
            mask[row, 0, one.begin : one.stop, one.begin : one.stop] = _past(size)
            places[row, one.begin : one.stop] = torch.arange(before, before + size)
    return {"attention_mask": mask, "position_ids": places} | _preferences(windows, longest)


def _preferences(windows: Sequence[Window], longest: int) -> dict[str, torch.Tensor]:
    """Return the fields of a batch's preferences; the pairs of a window weigh together as its good replies' tokens."""
    replies = torch.zeros((len(windows), longest), dtype=torch.long)
    pairs: list[tuple[int, int, float]] = []
    numbers = count(1)
    for row, window in enumerate(windows):
        kinds: dict[bool, list[int]] = {True: [], False: []}
        for one, number in zip(window.choices, numbers, strict=False):
            kinds[one.good].append(number)
            replies[row, one.start : one.stop] = number
        learned = sum(one.stop - one.start for one in window.choices if one.good)
        stake = learned / max(1, len(kinds[True]) * len(kinds[False]))
        pairs += [(good, bad, stake) for good in kinds[True] for bad in kinds[False]]
    if not pairs:
        return {}
    better, worse, stakes = zip(*pairs, strict=True)
    return Preferences(replies, torch.tensor(better), torch.tensor(worse), torch.tensor(stakes))._asdict()


def _past(size: int) -> torch.Tensor:
    return torch.ones(size, size, dtype=torch.bool).tril()


def preference(nats: torch.Tensor, asked: Preferences) -> torch.Tensor:
    """Return the weighted loss of each pair, a vector; `nats` and `asked.replies` are those of the same positions."""
    size = int(asked.replies.max()) + 1
    sums = nats.new_zeros(size).index_add(0, asked.replies, nats)
    tokens = nats.new_zeros(size).index_add(0, asked.replies, torch.ones_like(nats))
    mean = sums / tokens.clamp(min=1)
    return asked.stakes * softplus(MARGIN - SHARPNESS * (mean[asked.worse] - mean[asked.better]))
