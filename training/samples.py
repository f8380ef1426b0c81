"""Samples: scenes become windows of tokens, and windows become batches filled to a token budget."""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from persona.lines import teaches
from persona.screenplay import Screenplay, Tokens

WINDOW = 512
OVERLAP = 128
MASKED_SHARE = 0.25
_BATCHES_A_POOL = 50

# Names that no corpus speaker of ours has: under them a line is a stranger's.
STRANGERS = (
    *(GUEST, "Ann", "Ben", "Chris", "Dana", "Eli", "Farah", "Gus", "Hana", "Ivan", "Jules", "Kim", "Lena", "Mat"),
    *("Nadia", "Omar", "Pia", "Quinn", "Rosa", "Sam", "Tariq", "Uma", "Vic", "Wen", "Xenia", "Yusuf", "Zoe"),
    *("alex_92", "dr.pepper", "moonwalker", "night owl", "redfox", "sara_k", "the real bob", "xX_max_Xx"),
)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one scene: `ids` and `learned` of equal length, and the bytes that are learned.

    `replies` counts the learned turns, `learned_bytes` the UTF-8 bytes of their text.
    """

    ids: tuple[int, ...]
    learned: tuple[bool, ...]
    replies: int
    learned_bytes: int
    episode: str

    def __len__(self) -> int:
        return len(self.ids)


Batch = list[Window]


def window_of(config: Any) -> int:
    """Return the longest window in tokens: ours, or what a base of this config can read if less."""
    return min(WINDOW, int(getattr(config, "max_position_embeddings", WINDOW)))


class Sampler:
    """Makes the windows of scenes for one set of taught characters.

    Scenes longer than a window are continued in the next one behind as many earlier turns as fit
    into the overlap; those are context only, so one pass learns each line once.
    """

    def __init__(self, screenplay: Screenplay, taught: Collection[str], *, window: int = WINDOW) -> None:
        self.screenplay = screenplay
        self.taught = frozenset(taught)
        self.window = window

    def windows(self, scenes: Iterable[Scene]) -> list[Window]:
        """Return the windows of `scenes` that teach anything."""
        return [window for scene in scenes for window in self._of_scene(scene, self.taught)]

    def epoch(self, scenes: Sequence[Scene], seed: int, epoch: int) -> list[Window]:
        """Return one pass over `scenes`, with some speakers under a stranger's name."""
        windows: list[Window] = []
        for scene in scenes:
            draw = random.Random(f"{seed}:{epoch}:{scene.id}")  # noqa: S311 - sampling, not secrets
            windows += self._of_scene(*mask_a_speaker(scene, self.taught, draw))
        return windows

    def _of_scene(self, scene: Scene, taught: Collection[str]) -> Iterator[Window]:
        open_turns: list[tuple[Tokens, int]] = []
        for turn in scene.turns:
            learned = teaches(turn, taught)
            tokens = self.screenplay.turn(turn, learned=learned)
            if len(tokens.ids) > self.window:
                continue  # a speech longer than a window could only be learned without its end
            if sum(len(one.ids) for one, _ in open_turns) + len(tokens.ids) > self.window:
                yield from _closed(open_turns, scene.episode)
                open_turns = _context(open_turns, min(OVERLAP, self.window - len(tokens.ids)))
            open_turns.append((tokens, len(turn.text.encode()) if learned else 0))
        yield from _closed(open_turns, scene.episode)


def mask_a_speaker(scene: Scene, taught: Collection[str], draw: random.Random) -> tuple[Scene, Collection[str]]:
    """Give one speaker of some scenes a stranger's name, so that such names mean something.

    Returns the scene and who is still taught in it: at least one character who was before.
    """
    speakers = sorted({turn.name for turn in scene.turns})
    present = [name for name in speakers if name in taught]
    choice = [name for name in speakers if name not in taught or len(present) > 1]
    if not choice or not present or draw.random() >= MASKED_SHARE:
        return scene, taught
    masked, stranger = draw.choice(choice), draw.choice(STRANGERS)
    turns = tuple(Turn(stranger if turn.name == masked else turn.name, turn.text) for turn in scene.turns)
    return Scene(turns, scene.id, scene.episode), frozenset(taught) - {masked, stranger}


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


def _closed(turns: Sequence[tuple[Tokens, int]], episode: str) -> Iterator[Window]:
    ids = tuple(token for tokens, _ in turns for token in tokens.ids)
    learned = tuple(mark for tokens, _ in turns for mark in tokens.learned)
    if any(learned):
        yield Window(ids, learned, sum(size > 0 for _, size in turns), sum(size for _, size in turns), episode)


def _context(turns: Sequence[tuple[Tokens, int]], room: int) -> list[tuple[Tokens, int]]:
    kept: list[tuple[Tokens, int]] = []
    for tokens, _ in reversed(turns):
        room -= len(tokens.ids)
        if room < 0:
            break
        kept.insert(0, (Tokens(tokens.ids, [False] * len(tokens.ids)), 0))
    return kept


def _mean_length(windows: Sequence[Window]) -> int:
    return sum(map(len, windows)) // max(1, len(windows))
