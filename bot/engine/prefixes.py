"""A cache of what was computed before: keys and values of token prefixes, in blocks, least recently used out.

A block of 16 tokens is known by itself and all that stands before it (as in vLLM's automatic prefix
caching, Kwon et al., 2023): a conversation's next message, another candidate and the same
conversation under another name all find what they share.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch

BLOCK = 16


@dataclass(slots=True)
class PrefixStats:
    """Counted since the start: tokens asked for and found, blocks dropped; `size` is in bytes now."""

    asked: int = 0
    found: int = 0
    dropped: int = 0
    size: int = 0

    @property
    def hit_rate(self) -> float:
        """Return the share of prompt tokens that were found."""
        return self.found / self.asked if self.asked else 0.0


class PrefixCache:
    """Blocks of keys and values, each (layers, 2, 16, heads, width), within `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: OrderedDict[bytes, torch.Tensor] = OrderedDict()
        self.stats = PrefixStats()

    def find(self, ids: Sequence[int], adapter: str = "") -> list[torch.Tensor]:
        """Return the blocks that begin `ids`, as many as are known; the last token is never among them."""
        found = []
        for key in _keys(ids[:-1], adapter):
            if key not in self._blocks:
                break
            found.append(key)
        for key in reversed(found):  # a prefix outlives what follows it
            self._blocks.move_to_end(key)
        self.stats.asked += len(ids)
        self.stats.found += BLOCK * len(found)
        return [self._blocks[key] for key in found]

    def keep(self, ids: Sequence[int], kept: torch.Tensor, adapter: str = "", *, anew: bool = False) -> None:
        """Keep `kept` (layers, 2, positions, heads, width), of at least the whole blocks of `ids`.

        Known blocks stay as they are, unless they were computed `anew`.
        """
        keys = list(_keys(ids, adapter))
        for number, key in reversed(list(enumerate(keys))):
            if anew or key not in self._blocks:
                block = kept[:, :, number * BLOCK : (number + 1) * BLOCK].clone()
                self.stats.size += block.nbytes - (self._blocks[key].nbytes if key in self._blocks else 0)
                self._blocks[key] = block
            self._blocks.move_to_end(key)
        self.shrink()

    def shrink(self, taken: int = 0) -> None:
        """Drop blocks until what is left and `taken` other bytes are within the limit."""
        while self._blocks and self.stats.size + taken > self._limit:
            _, block = self._blocks.popitem(last=False)
            self.stats.size -= block.nbytes
            self.stats.dropped += 1

    def clear(self) -> None:
        """Drop everything."""
        self.shrink(self._limit + 1)


def _keys(ids: Sequence[int], adapter: str) -> Iterator[bytes]:
    """Give the key of each whole block: a digest of all tokens up to its end."""
    digest = blake2b(adapter.encode(), digest_size=16)
    for start in range(0, len(ids) - BLOCK + 1, BLOCK):
        digest.update(array("I", ids[start : start + BLOCK]).tobytes())
        yield digest.digest()
