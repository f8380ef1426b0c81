"""Tensors that take no memory before they are written to, and give it back row by row. Imports torch."""

import math
import mmap
from collections.abc import Sequence

import torch

_RETURNS = getattr(mmap, "MADV_DONTNEED", None)


class Pages:
    """Zeros of `shape`, of the dtype and on the device of `like`.

    Zeros, because what is masked is still multiplied, and a NaN times zero is one. On the CPU they are
    fresh pages of the system, outside of the heap, so that nothing else leaves holes between them.
    """

    def __init__(self, shape: Sequence[int], like: torch.Tensor) -> None:
        self._pages: mmap.mmap | None = None
        size = math.prod(shape) * like.element_size()
        if like.device.type != "cpu" or not size:
            self.tensor = torch.zeros(tuple(shape), dtype=like.dtype, device=like.device)
            return
        # Private, because shared memory is not given back before it is closed.
        self._pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.tensor = torch.frombuffer(self._pages, dtype=like.dtype).view(tuple(shape))

    def give_back(self, *place: int) -> None:
        """Give back the memory of `tensor[place]`, whose values are lost; whole pages, and only where that works."""
        if self._pages is None or _RETURNS is None:
            return
        part = self.tensor[place]
        first = part.storage_offset() * part.element_size()
        start = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (first + part.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - start
        if length > 0:
            self._pages.madvise(_RETURNS, start, length)
