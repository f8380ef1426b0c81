"""Out of memory: the parts become smaller, the step stays as it was."""

import pytest
import torch

from training.microbatches import SMALLEST, MicroBatching


def test_out_of_memory_halves_the_parts_and_begins_the_step_again() -> None:
    said: list[str] = []
    tried: list[int] = []
    drawn: list[float] = []
    undone: list[bool] = []

    def compute(tokens: int) -> torch.Tensor:
        tried.append(tokens)
        drawn.append(float(torch.rand(())))
        if tokens > 300:
            raise torch.OutOfMemoryError("no")
        return torch.tensor(1.0)

    micro = MicroBatching(1024, 1024, said.append)
    assert micro.run(compute, lambda: undone.append(True)) == 1.0
    assert tried == [1024, 512, 256]
    assert len(set(drawn)) == 1, "the dropout of the step begun again would differ"
    assert len(undone) == 2
    assert micro.tokens == 256
    assert said[-1] == ("Memory ran out: computing 256 tokens at once from now on; a step still learns from 1024.")
    micro.run(compute, lambda: None)
    assert tried[-1] == 256


def test_a_machine_without_any_memory_is_not_asked_forever() -> None:
    def compute(tokens: int) -> torch.Tensor:
        raise torch.OutOfMemoryError("no")

    micro = MicroBatching(1024, 1024, lambda line: None)
    with pytest.raises(torch.OutOfMemoryError):
        micro.run(compute, lambda: None)
    assert micro.tokens == SMALLEST
