"""The recipe that everybody copies (the open-dialog DialoGPT notebook), as it is: windows, batches, one step.

Eight turns of the transcript a window, whatever scene they are from, no names, EOS behind each; batches of
four, padded with token 0; the loss on everything, padding too. Its DataLoader drops an epoch's last
incomplete batch. Kept out, in its favour: the cache of keys that its forward would fill while training.
"""

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

from persona.dialogue import Scene

PREVIOUS, BATCH, BLOCK, EPOCHS = 7, 4, 512, 3
LEARNING_RATE, EPSILON, LARGEST_NORM = 5e-5, 1e-8, 1.0


class Read(NamedTuple):
    """What one step read: `tokens` are real, `positions` include the padding."""

    loss: float
    tokens: int
    positions: int
    lines: int


class Windows:
    """One window for each line of `taught` in the transcript of `scenes`, in its order."""

    def __init__(self, scenes: Sequence[Scene], taught: Collection[str], tokenizer: Any) -> None:
        turns = [turn for scene in scenes for turn in scene.turns]
        self._turns = [[*tokenizer.encode(turn.text), tokenizer.eos_token_id] for turn in turns]
        self._ends = [place for place in range(PREVIOUS, len(turns)) if turns[place].name in taught]

    def __len__(self) -> int:
        """Return the number of windows, which is that of the lines taught."""
        return len(self._ends)

    def __getitem__(self, number: int) -> torch.Tensor:
        """Return a window's ids, at most BLOCK of them: a longer one loses its beginning, never the line."""
        end = self._ends[number]
        ids = [token for turn in self._turns[end - PREVIOUS : end + 1] for token in turn]
        return torch.tensor(ids[-BLOCK:])

    def batches(self, seed: int) -> Iterator[list[torch.Tensor]]:
        """Yield the batches of all epochs, each epoch in an order of its own."""
        for epoch in range(EPOCHS):
            order = list(range(len(self)))
            random.Random(f"{seed}:{epoch}").shuffle(order)
            for first in range(0, len(order) - BATCH + 1, BATCH):
                yield [self[number] for number in order[first : first + BATCH]]


class Recipe:
    """A model in full fine-tuning with the recipe's optimizer and its linear decay to zero over `steps`."""

    def __init__(self, model: Any, steps: int) -> None:
        self.model = model
        model.config.use_cache = False
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, eps=EPSILON, weight_decay=0.0)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: max(0.0, 1 - step / steps))

    def step(self, batch: Sequence[torch.Tensor]) -> Read:
        """Learn one batch and return what was read."""
        self.model.train()
        inputs = pad_sequence(list(batch), batch_first=True)  # its padding value is 0, and the loss is told nothing
        loss = self.model(input_ids=inputs, labels=inputs).loss
        loss.backward()
        clip_grad_norm_(self.model.parameters(), LARGEST_NORM)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()
        return Read(float(loss.detach()), sum(map(len, batch)), inputs.numel(), len(batch))
