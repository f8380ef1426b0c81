"""The order of batches: a function of seed and step alone, so a resumed run meets what it would have."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import IterableDataset

from persona.dialogue import Scene
from training.corpus import CorpusError
from training.measures import collate
from training.samples import Batch, Sampler, batches


@dataclass(frozen=True, slots=True)
class Diet:
    """What a run feeds on: scenes through a sampler, `tokens` (padding included) in each batch."""

    scenes: Sequence[Scene]
    sampler: Sampler
    tokens: int
    seed: int


class BatchStream(IterableDataset[dict[str, torch.Tensor]]):
    """An endless stream of collated batches, from batch number `start` on.

    Raises CorpusError where there is nothing to learn. `on_batch` is told the epoch and the tensors
    of each batch as it is handed out.

    Masked names change the number of tokens and so of batches from epoch to epoch: to find its
    place again, a resumed run plans the epochs before it once more (seconds each).
    """

    def __init__(self, diet: Diet, start: int, on_batch: Callable[[int, dict[str, torch.Tensor]], None]) -> None:
        self.diet = diet
        self.start = start
        self.on_batch = on_batch

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        to_skip, epoch = self.start, 0
        while True:
            planned = self._epoch(epoch)
            if not planned:
                raise CorpusError("the characters to be taught say nothing in the training episodes")
            for batch in planned[to_skip:]:
                collated = collate(batch)
                self.on_batch(epoch, collated)
                yield collated
            to_skip = max(0, to_skip - len(planned))
            epoch += 1

    def _epoch(self, epoch: int) -> list[Batch]:
        diet = self.diet
        windows = diet.sampler.epoch(diet.scenes, diet.seed, epoch)
        return batches(windows, diet.tokens, random.Random(f"{diet.seed}:{epoch}:order"))  # noqa: S311
