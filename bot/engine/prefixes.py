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

from bot.engine.pages import Pages

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
    """Blocks of keys and values within `limit` bytes; `like` is what they are blocks of.

    `like` is (layers, 2, positions, heads, width), a block (layers, 2, 16, heads, width).
    """

    def __init__(self, limit: int, like: torch.Tensor) -> None:
        layers, both, _, heads, width = like.shape
        shape = (layers, both, BLOCK, heads, width)
        self._a_block = layers * both * BLOCK * heads * width * like.element_size()
        self._limit = limit
        self._pages = Pages((limit // self._a_block, *shape), like)
        self._free = list(range(limit // self._a_block))
        self._places: OrderedDict[bytes, int] = OrderedDict()
        self.stats = PrefixStats()

    def find(self, ids: Sequence[int], adapter: str = "") -> list[torch.Tensor]:
        """Return the blocks that begin `ids`, as many as are known; the last token is never among them.

        They are views, to be copied before anything else is kept.
        """
        found = []
        for key in _keys(ids[:-1], adapter):
            if key not in self._places:
                break
            found.append(key)
        for key in reversed(found):  # a prefix outlives what follows it
            self._places.move_to_end(key)
        self.stats.asked += len(ids)
        self.stats.found += BLOCK * len(found)
        return [self._pages.tensor[self._places[key]] for key in found]

    def keep(
        self, ids: Sequence[int], kept: torch.Tensor, adapter: str = "", *, anew: bool = False, taken: int = 0
    ) -> None:
        """Keep `kept` (layers, 2, positions, heads, width), of at least the whole blocks of `ids`.

        Known blocks stay as they are, unless they were computed `anew`. `taken` bytes of the limit
        are in use elsewhere.
        """
        most = max(0, self._limit - taken) // self._a_block
        keys = list(_keys(ids, adapter))[:most]
        for number, key in reversed(list(enumerate(keys))):
            known = key in self._places
            if not known:
                self._drop(down_to=most - 1)
                self._places[key] = self._free.pop()
            if anew or not known:
                self._pages.tensor[self._places[key]] = kept[:, :, number * BLOCK : (number + 1) * BLOCK]
            self._places.move_to_end(key)
        self._drop(down_to=most)
        self.stats.size = len(self._places) * self._a_block

    def clear(self) -> None:
        """Drop everything."""
        self._drop(down_to=0)
        self.stats.size = 0

    def _drop(self, down_to: int) -> None:
        while len(self._places) > down_to:
            _, place = self._places.popitem(last=False)
            self._pages.give_back(place)
            self._free.append(place)
            self.stats.dropped += 1


def _keys(ids: Sequence[int], adapter: str) -> Iterator[bytes]:
    """Give the key of each whole block: a digest of all tokens up to its end."""
    digest = blake2b(adapter.encode(), digest_size=16)
    for start in range(0, len(ids) - BLOCK + 1, BLOCK):
        digest.update(array("I", ids[start : start + BLOCK]).tobytes())
        yield digest.digest()
