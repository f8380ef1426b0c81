"""Windows: stretches of scenes as tokens, and how they become batches filled to a token budget."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from training.contrast import Rival

WINDOW = 512
_BATCHES_A_POOL = 50


class Choice(NamedTuple):
    """One of several replies in a window: tokens `begin` to `stop`, of which those from `start` on are what is said.

    Those that are not `good` are there only to be less likely than those that are.
    """

    begin: int
    start: int
    stop: int
    good: bool


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one scene, or several replies to one message: `ids`, `learned` as long, the bytes that are learned.

    `replies` counts the learned turns, `learned_bytes` the UTF-8 bytes of their text. Of the first
    `repeated` tokens only the learned ones weigh: they stood in an earlier window, or around several replies.
    `rivals` are lines to be read again under another name; a window's length counts them. `choices` are replies to one
    message, which stand among the ids; what is before the first was said before each of them.
    """

    ids: tuple[int, ...]
    learned: tuple[bool, ...]
    replies: int
    learned_bytes: int
    episode: str
    repeated: int = 0
    rivals: tuple[Rival, ...] = ()
    choices: tuple[Choice, ...] = ()

    def __len__(self) -> int:
        return len(self.ids) + sum(rival.tokens for rival in self.rivals)


class Reply(NamedTuple):
    """One of several replies to a message: the ids that open its turn, those of what is `said`, and its text's bytes.

    Those that are not `good` are not learned.
    """

    header: Sequence[int]
    said: Sequence[int]
    size: int
    good: bool = True

    @property
    def tokens(self) -> int:
        """Return how many tokens the reply adds to a window."""
        return len(self.header) + len(self.said)


Batch = list[Window]


def window_of(config: Any) -> int:
    """Return the longest window in tokens: ours, or what a base of this config can read if less."""
    return min(WINDOW, int(getattr(config, "max_position_embeddings", WINDOW)))


def together(before: Sequence[int], replies: Iterable[Reply], episode: str) -> Window:
    """Return one window of several replies to what stands `before` them; whether they fit is the caller's to see."""
    ids, learned, choices = list(before), [False] * len(before), list[Choice]()
    learned_bytes = 0
    for reply in replies:
        start = len(ids) + len(reply.header)
        choices.append(Choice(len(ids), start, start + len(reply.said), reply.good))
        ids += [*reply.header, *reply.said]
        learned += [False] * len(reply.header) + [reply.good] * len(reply.said)
        learned_bytes += reply.good * reply.size
    count = sum(one.good for one in choices)
    return Window(tuple(ids), tuple(learned), count, learned_bytes, episode, repeated=len(ids), choices=tuple(choices))


def batches(windows: Sequence[Window], tokens: int, draw: random.Random) -> list[Batch]:
    """Return all windows in batches whose padded size is at most `tokens`, in random order.

    A window that is longer than that stands alone.
    Windows of like length stand together, within pools so large that who meets whom stays random.
    """
    order = list(range(len(windows)))
    draw.shuffle(order)
    pool = max(1, _BATCHES_A_POOL * tokens // max(1, _mean_length(windows)))
    filled: list[Batch] = []
    for start in range(0, len(order), pool):
        by_length = sorted(order[start : start + pool], key=lambda one: len(windows[one]))
        filled += _filled([windows[one] for one in by_length], tokens)
    draw.shuffle(filled)
    return filled


def _filled(windows: Iterable[Window], tokens: int) -> Iterator[Batch]:
    batch: Batch = []
    for window in windows:
        if batch and (len(batch) + 1) * max(len(window), len(batch[-1])) > tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _mean_length(windows: Sequence[Window]) -> int:
    return sum(map(len, windows)) // max(1, len(windows))
