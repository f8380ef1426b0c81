"""What an interrupted run goes on from: weights, optimizer and counts after a step, whole or absent."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file

from bench.copied_recipe.recipe import Read, Recipe
from training.checkpoints import Checkpoints
from training.trainer import TRAINABLE, restore, trainable

OPTIMIZER = "optimizer.pt"
_LOSSES = 20


@dataclass
class Progress:
    """How far a run is, over all its starts.

    `seconds` are those of training, `wall` those of all; work that a kill destroyed counts for neither.
    At `due` seconds it is measured next; `measured` is the step after which it was last.
    """

    step: int = 0
    tokens: int = 0
    positions: int = 0
    lines: int = 0
    seconds: float = 0.0
    wall: float = 0.0
    due: float = 0.0
    measured: int = -1
    losses: list[float] = field(default_factory=list)

    def count(self, read: Read, seconds: float) -> None:
        """Count a step."""
        self.step += 1
        self.seconds += seconds
        self.tokens += read.tokens
        self.positions += read.positions
        self.lines += read.lines
        self.losses = [*self.losses[1 - _LOSSES :], read.loss]

    @property
    def loss(self) -> float | None:
        """Return the mean loss of the last steps."""
        return sum(self.losses) / len(self.losses) if self.losses else None


class States:
    """The last two states of a run, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._states = Checkpoints(folder)

    def save(self, recipe: Recipe, progress: Progress) -> None:
        """Save a state."""
        staged = self._states.staging()
        save_file(trainable(recipe.model), staged / TRAINABLE)
        torch.save(recipe.state(), staged / OPTIMIZER)
        self._states.publish(staged, progress.step, asdict(progress), is_stable=True)
        self._states.tidy(progress.step, progress.step)

    def restore(self, recipe: Recipe, tell: Callable[[str], None]) -> Progress:
        """Take up the newest whole state; a beginning where there is none."""
        state = self._states.latest(tell)
        if state is None:
            return Progress()
        restore(recipe.model, state.folder / TRAINABLE)
        recipe.go_on_from(torch.load(state.folder / OPTIMIZER, weights_only=True))
        progress = Progress(**state.progress())
        tell(f"Going on from step {progress.step}, minute {progress.seconds / 60:.1f} of training.")
        return progress
