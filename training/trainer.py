"""transformers' Trainer, with our loss, our order of steps and states that are whole or absent."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from training.checkpoints import STAGING
from training.conductor import Conductor
from training.measures import LearnedLoss
from training.microbatches import MicroBatching, micro_batches
from training.options import Options
from training.runfolder import RunError
from training.stream import Portion, Stream, collate
from training.team import Team
from training.windows import Window

TRAINABLE = "trainable.safetensors"


def arguments(options: Options, device: torch.device, dtype: torch.dtype) -> TrainingArguments:
    """Return Trainer's arguments: everything that it would do by itself is ours, and off."""
    return TrainingArguments(
        output_dir=str(options.out),
        max_steps=10**9,
        learning_rate=options.rate(),
        weight_decay=0.0,
        max_grad_norm=1.0,
        per_device_train_batch_size=1,
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        use_cpu=device.type == "cpu",
        seed=options.seed,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        ignore_data_skip=True,
        dataloader_pin_memory=False,
    )


class Diverged(RuntimeError):  # noqa: N818 - a state of the run that its caller answers to
    """The loss or a weight is not a finite number any more."""


class PersonaTrainer(Trainer):
    """Trains a LearnedLoss on a stream of whole steps, led by a conductor."""

    def __init__(self, model: LearnedLoss, args: TrainingArguments, **ours: Any) -> None:
        self.stream: Stream = ours.pop("stream")
        self.conductor: Conductor = ours.pop("conductor")
        self.micro: MicroBatching = ours.pop("micro")
        self.team: Team = self.conductor.stage.team
        super().__init__(model=model, args=args, callbacks=[self.conductor])

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the stream as it is: batching, order and place are its own.

        Without a generator of its own the loader would draw from the global one at every start,
        and a resumed run's dropout would differ.
        """
        return DataLoader(self.stream, batch_size=None, collate_fn=_as_it_is, generator=torch.Generator())

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:
        """Return a scheduler that follows the schedule."""
        chosen: Any = optimizer or self.optimizer
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(chosen, self.conductor.schedule.factor)
        return self.lr_scheduler

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], None]:
        """Return the next step; its weight is known to the stream and needs no counting."""
        return [next(epoch_iterator)], None

    def training_step(
        self, model: Any, inputs: Any, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Learn one whole step and return its loss in nats a unit of weight, times the number of processes."""
        portion: Portion = inputs
        self.conductor.count(portion)
        model.train()
        loss = self.micro.run(lambda tokens: self._learn(model, portion, tokens), model.zero_grad)
        if self.team.is_any(not bool(torch.isfinite(loss)), loss.device):
            raise Diverged("the loss is not a finite number any more")
        return loss

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: Trainer counts for its own logs, from batches that it knows."""
        return 0

    def _learn(self, model: Any, portion: Portion, tokens: int) -> torch.Tensor:
        parts = micro_batches(portion.windows, tokens)
        whole = torch.zeros((), device=self.args.device)
        for number, windows in enumerate(parts or [[]]):
            waits = number < len(parts) - 1 and self.team.size > 1
            with model.no_sync() if waits else contextlib.nullcontext():
                loss = self._loss(model, windows, portion.weight)
                self.accelerator.backward(loss)
            whole += loss.detach()
        return whole

    def _loss(self, model: Any, windows: Sequence[Window], weight: float) -> torch.Tensor:
        """Return the part's share of the step's mean; DDP divides by the processes, so it is multiplied here."""
        if not windows:  # more processes than windows: this one has nothing to add, but must take part
            tensors = {"input_ids": torch.zeros(1, 2, dtype=torch.long), "weights": torch.zeros(1, 2)}
            tensors["attention_mask"] = torch.ones(1, 2, dtype=torch.long)
        else:
            tensors = collate(windows, self.stream.diet.prompt_weight)
        on_device = {key: one.to(self.args.device) for key, one in tensors.items()}
        with self.compute_loss_context_manager():
            nats: torch.Tensor = model(**on_device)
            return nats.sum() * (self.team.size / weight)

    def _get_output_dir(self, trial: Any) -> str:
        states = self.conductor.stage.folder.states
        if self.team.leads:
            states.staging()
        self.team.wait()
        return str(states.path / STAGING)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save what is trained, and no pickle of the arguments."""
        target = Path(output_dir or self._get_output_dir(None))
        target.mkdir(parents=True, exist_ok=True)
        weights = trainable(self.model)
        if not all(bool(torch.isfinite(one).all()) for one in weights.values()):
            raise Diverged("a weight is not a finite number any more")
        save_file(weights, target / TRAINABLE)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        began = time.monotonic()
        states = self.conductor.stage.folder.states
        with saving(states.path, f"the state after step {self.state.global_step}"):
            super()._save_checkpoint(model, trial)
            self.team.wait()
            if self.team.leads:
                self.conductor.publish(next((states.path / STAGING).glob("checkpoint-*")), self.state.global_step)
            self.team.wait()
        self.conductor.saved(int(self.state.global_step), began)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        restore(self.model, Path(resume_from_checkpoint) / TRAINABLE)


@contextlib.contextmanager
def saving(place: Path, what: str) -> Iterator[None]:
    """Translate what a full or failing disk raises into one RunError; nothing whole was touched by then."""
    try:
        yield
    except Diverged:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have types of their own
        why = getattr(error, "strerror", None) or "the disk is full or failing"
        raise RunError(
            f"{what} could not be saved in {place} ({why}): what was saved before is whole; "
            "make room, and the same command with --resume goes on"
        ) from error


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


def _as_it_is(portion: Any) -> Any:
    return portion
