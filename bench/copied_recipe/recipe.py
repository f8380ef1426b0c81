"""The recipe that everybody copies (the open-dialog DialoGPT notebook), as it is: windows, batches, one step.

Eight turns of the transcript a window, whatever scene they are from, no names, EOS behind each; batches of
four, padded with the tokenizer's padding token, or with token 0 where it has none (as DialoGPT's, whose
token 0 is "!"); the loss on everything, padding too. Its DataLoader drops an epoch's last incomplete batch.
Kept out, in its favour: the cache of keys that its forward would fill while training.
"""

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

from persona.dialogue import Scene
from persona.screenplay import EOS_NAMELESS

PREVIOUS, BATCH, BLOCK, EPOCHS = EOS_NAMELESS.most_turns or 7, 4, 512, 3
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

    @property
    def steps(self) -> int:
        """Return how many batches the recipe's epochs have."""
        return len(self) // BATCH * EPOCHS

    def batches(self, seed: int, first: int = 0, end: int | None = None) -> Iterator[list[torch.Tensor]]:
        """Yield the batches from number `first` to `end`, that of all epochs' if None; each epoch has its own order."""
        each = len(self) // BATCH
        epoch, order = -1, list(range(len(self)))
        for number in range(first, self.steps if end is None else end):
            if number // each != epoch:
                epoch, order = number // each, list(range(len(self)))
                random.Random(f"{seed}:{epoch}").shuffle(order)
            start = number % each * BATCH
            yield [self[at] for at in order[start : start + BATCH]]


class Recipe:
    """A model in full fine-tuning with the recipe's optimizer and its linear decay to zero over `steps`."""

    def __init__(self, model: Any, steps: int, padding: int = 0) -> None:
        self.model = model
        self._padding = padding
        model.config.use_cache = False
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, eps=EPSILON, weight_decay=0.0)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: max(0.0, 1 - step / steps))

    def step(self, batch: Sequence[torch.Tensor]) -> Read:
        """Learn one batch and return what was read."""
        self.model.train()
        inputs = pad_sequence(list(batch), batch_first=True, padding_value=self._padding)  # the loss is told nothing
        loss = self.model(input_ids=inputs, labels=inputs).loss
        loss.backward()
        clip_grad_norm_(self.model.parameters(), LARGEST_NORM)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()
        return Read(float(loss.detach()), sum(map(len, batch)), inputs.numel(), len(batch))

    def state(self) -> dict[str, Any]:
        """Return all but the weights that the next step depends on."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "random": torch.get_rng_state(),
        }

    def go_on_from(self, state: Mapping[str, Any]) -> None:
        """Take up a state again; the weights must be those of its step."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
