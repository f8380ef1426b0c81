"""The processes that train together: one alone, or as many as `accelerate launch` or torchrun started."""

from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


class Team:
    """The place of this process among all that train one model; the first one decides, writes and speaks."""

    @property
    def size(self) -> int:
        """Return the number of processes."""
        return distributed.get_world_size() if self._is_joined() else 1

    @property
    def rank(self) -> int:
        """Return this process's place, 0 for the first."""
        return distributed.get_rank() if self._is_joined() else 0

    @property
    def leads(self) -> bool:
        """Say whether this is the first process."""
        return self.rank == 0

    def share(self, value: T) -> T:
        """Return the first process's `value`, in every process."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def is_any(self, flag: bool, device: torch.device) -> bool:
        """Say, to every process alike, whether the flag is set in one of them."""
        if self.size == 1:
            return flag
        flags = torch.tensor(float(flag), device=device)
        distributed.all_reduce(flags)
        return bool(flags > 0)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            distributed.barrier()

    def disband(self) -> None:
        """End what joins the processes, as the last thing that they do.

        A process that ends with it open may be aborted while gloo's threads still run (pytorch pull request 179291).
        Not after an error: the others would be waited for in vain.
        """
        if self._is_joined():
            distributed.barrier()
            distributed.destroy_process_group()

    @staticmethod
    def _is_joined() -> bool:
        return distributed.is_available() and distributed.is_initialized()
