"""transformers' Trainer, with our loss, our order of batches and checkpoints that are whole or absent."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from training.budget import Budget
from training.measures import LearnedLoss
from training.runfolder import RunFolder
from training.stream import BatchStream

TRAINABLE = "trainable.safetensors"
PROGRESS = "progress.json"


class PersonaTrainer(Trainer):
    """Trains a LearnedLoss. `progress` gives what a resumed run must know besides Trainer's state."""

    def __init__(self, model: LearnedLoss, args: TrainingArguments, **ours: Any) -> None:
        self.folder: RunFolder = ours.pop("folder")
        self.budget: Budget = ours.pop("budget")
        self.stream: BatchStream = ours.pop("stream")
        self.progress: Callable[[], dict[str, Any]] = ours.pop("progress")
        super().__init__(model=model, args=args, **ours)
        # The loss is summed by the model and divided here, once, by all learned tokens of a step.
        self.model_accepts_loss_kwargs = True

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the stream as it is: batching, order and place are its own.

        Without a generator of its own the loader would draw from the global one at every start,
        and a resumed run's dropout would differ.
        """
        return DataLoader(self.stream, batch_size=None, generator=torch.Generator())

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:
        """Return a schedule that follows the budget."""
        chosen: Any = optimizer or self.optimizer
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(chosen, self.budget.learning_rate)
        return self.lr_scheduler

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the micro-batch's share of the step's mean loss a learned token."""
        nats = model(**inputs)
        loss = nats.sum() / (num_items_in_batch if num_items_in_batch is not None else nats.numel())
        return (loss, nats) if return_outputs else loss

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.folder.staging())

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save what is trained, and no pickle of the arguments."""
        target = Path(output_dir or self.folder.staging())
        target.mkdir(parents=True, exist_ok=True)
        save_file(trainable(self.model), target / TRAINABLE)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        began = time.monotonic()
        super()._save_checkpoint(model, trial)
        staging = self.folder.checkpoints / ".staging"
        saved = next(staging.glob("checkpoint-*"))
        (saved / PROGRESS).write_text(json.dumps(self.progress()), encoding="utf-8")
        self.folder.publish(saved, self.state.global_step)
        self.budget.needs("saving", 1.2 * (time.monotonic() - began))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        restore(self.model, Path(resume_from_checkpoint) / TRAINABLE)


def trainable(model: Any) -> dict[str, torch.Tensor]:
    """Return the trained parameters by name, on the CPU."""
    named = model.named_parameters()
    return {name: one.detach().cpu().contiguous() for name, one in named if one.requires_grad}


def restore(model: Any, file: Path) -> None:
    """Load trained parameters back; raises KeyError or ValueError where they are not this model's."""
    saved = load_file(file)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(saved[name])
