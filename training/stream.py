"""The order of what is learned: a function of seed and cursor, so a resumed run meets what it would have."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import IterableDataset

from training.contrast import branched
from training.corpus import CorpusError
from training.mixture import Part
from training.preferences import chosen
from training.team import Team
from training.windows import Batch, Window, batches


@dataclass
class Cursor:
    """Where a stream stands: steps handed out and, for each corpus, its epoch and the batches taken of it."""

    step: int = 0
    places: list[list[int]] = field(default_factory=list)

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields."""
        return {"step": self.step, "places": [list(place) for place in self.places]}


@dataclass(frozen=True, slots=True)
class Portion:
    """What one step learns from: this process's `windows` of it, and the whole step's sums.

    `weight` is the sum of the loss's weights over all processes, by which the loss is divided once;
    `tokens` are those read, `learned` those of the taught lines. `passes` are those over the show
    once the step is done.
    """

    windows: Sequence[Window]
    corpus: str
    epoch: int
    passes: float
    weight: float
    tokens: int
    learned: int


@dataclass(frozen=True, slots=True)
class Diet:
    """What a run feeds on: its corpora, `tokens` (padding included) a step, the weight of lines not taught."""

    parts: Sequence[Part]
    tokens: int
    seed: int
    prompt_weight: float = 0.0

    def plan(self, number: int, epoch: int) -> list[Batch]:
        """Return pass `epoch` over corpus `number`, a batch a step; raises CorpusError where nothing is taught."""
        part = self.parts[number]
        windows = part.sampler.epoch(part.split.train, self.seed, epoch)
        if not windows:
            raise CorpusError(f"the characters to be taught say nothing in the training episodes of {part.name}")
        return batches(windows, self.tokens, random.Random(f"{self.seed}:{number}:{epoch}:order"))  # noqa: S311


class Stream(IterableDataset[Portion]):
    """An endless stream of steps from `cursor` on, which it moves.

    Each step is drawn from one corpus, by the shares; once `is_cooling` says so of a step, only from
    those that stay. Every process plans the same steps and takes its own windows of each.
    """

    def __init__(self, diet: Diet, cursor: Cursor, is_cooling: Callable[[int], bool], team: Team | None = None) -> None:
        self.diet = diet
        self.cursor = cursor
        self._is_cooling = is_cooling
        self._team = team or Team()
        cursor.places = cursor.places or [[0, 0] for _ in diet.parts]
        self._plans: dict[int, tuple[int, list[Batch]]] = {}

    def __iter__(self) -> Iterator[Portion]:
        while True:
            number = self._choose(self.cursor.step)
            epoch, batch = self._next(number)
            self.cursor.step += 1
            yield self._portion(batch, self.diet.parts[number].name, epoch)

    def _choose(self, step: int) -> int:
        parts, cooling = self.diet.parts, self._is_cooling(step)
        drawn = [number for number, part in enumerate(parts) if number == 0 or part.stays or not cooling]
        if len(drawn) == 1:
            return 0
        draw = random.Random(f"{self.diet.seed}:{step}:corpus")  # noqa: S311 - sampling, not secrets
        return draw.choices(drawn, [parts[number].share for number in drawn])[0]

    def _next(self, number: int) -> tuple[int, Batch]:
        place = self.cursor.places[number]
        planned = self._planned(number, place[0])
        if place[1] >= len(planned):
            place[:] = [place[0] + 1, 0]
            planned = self._planned(number, place[0])
        place[1] += 1
        return place[0], planned[place[1] - 1]

    def _planned(self, number: int, epoch: int) -> list[Batch]:
        known, plan = self._plans.get(number, (-1, []))
        if known != epoch:
            plan = self.diet.plan(number, epoch)
            self._plans[number] = epoch, plan
        return plan

    def _passes(self) -> float:
        epoch, taken = self.cursor.places[0]
        return epoch + taken / len(self._planned(0, epoch))

    def _portion(self, batch: Batch, corpus: str, epoch: int) -> Portion:
        team, prompt_weight = self._team, self.diet.prompt_weight
        return Portion(
            windows=batch[team.rank :: team.size],
            corpus=corpus,
            epoch=epoch,
            passes=self._passes(),
            weight=sum(sum(weights_of(window, prompt_weight)) for window in batch),
            tokens=sum(map(len, batch)),
            learned=sum(sum(window.learned) for window in batch),
        )


def weights_of(window: Window, prompt_weight: float) -> list[float]:
    """Return the weight of the loss on each token: nothing for the first, which nothing predicts.

    A taught line's tokens weigh 1, all others `prompt_weight`, but for context that an earlier
    window of the scene had already.
    """
    weights = [
        1.0 if learned else prompt_weight if place >= window.repeated else 0.0
        for place, learned in enumerate(window.learned)
    ]
    weights[0] = 0.0
    return weights


def collate(windows: Sequence[Window], prompt_weight: float = 0.0, pad: int = 0) -> dict[str, torch.Tensor]:
    """Return windows as tensors (rows, longest): ids, attention mask, weights of the loss.

    Padding stands on the right and is never attended to nor learned, so its id is of no matter. Where a
    window has rivals, the mask is (rows, 1, longest, longest), and places and pairs are told, too; where
    windows have several replies to a message, the mask and places are such, and preferences are told if there are any.
    """
    longest = max(map(len, windows))
    ids = torch.full((len(windows), longest), pad)
    mask = torch.zeros((len(windows), longest), dtype=torch.long)
    weights = torch.zeros((len(windows), longest))
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = torch.tensor(window.ids)
        mask[row, : len(window.ids)] = 1
        weights[row, : len(window.ids)] = torch.tensor(weights_of(window, prompt_weight))
    tensors = {"input_ids": ids, "attention_mask": mask, "weights": weights}
    if any(window.choices for window in windows):
        return tensors | chosen(windows, longest)
    return tensors | _branches(windows, ids) if any(window.rivals for window in windows) else tensors


def _branches(windows: Sequence[Window], ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what the rivals of `windows` change in their tensors; padding sees itself, since it must see something."""
    rows, longest = ids.shape
    ids = ids.clone()
    mask = torch.eye(longest, dtype=torch.bool).expand(rows, 1, -1, -1).clone()
    places = torch.zeros((rows, longest), dtype=torch.long)
    pairs = torch.zeros((rows, longest), dtype=torch.long)
    first = 1
    for row, window in enumerate(windows):
        one, size = branched(window.ids, window.rivals, first), len(window)
        ids[row, :size], places[row, :size], pairs[row, :size] = one.ids, one.places, one.pairs
        mask[row, 0, :size, :size] = one.sees
        first += len(window.rivals)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": places, "pairs": pairs}
