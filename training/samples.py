"""Samples: scenes become windows of tokens."""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import NamedTuple, Protocol

from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from persona.lines import teaches
from persona.screenplay import Tokens
from training.contrast import Rival
from training.windows import WINDOW, Window

OVERLAP = 128
MASKED_SHARE = 0.25

# Names that no corpus speaker of ours has: under them a line is a stranger's.
STRANGERS = (
    *(GUEST, "Ann", "Ben", "Chris", "Dana", "Eli", "Farah", "Gus", "Hana", "Ivan", "Jules", "Kim", "Lena", "Mat"),
    *("Nadia", "Omar", "Pia", "Quinn", "Rosa", "Sam", "Tariq", "Uma", "Vic", "Wen", "Xenia", "Yusuf", "Zoe"),
    *("alex_92", "dr.pepper", "moonwalker", "night owl", "redfox", "sara_k", "the real bob", "xX_max_Xx"),
)


class Turns(Protocol):
    """What makes tokens of a turn: a Screenplay, or `training.tokenized.TokenizedTurns`."""

    def turn(self, turn: Turn, *, learned: bool) -> Tokens:
        """Return one whole turn; where `learned`, its text and end of turn are marked."""
        ...

    def header(self, name: str) -> list[int]:
        """Return the ids that open a turn of `name`."""
        ...

    def said(self, text: str) -> list[int]:
        """Return the ids of what is said, the end of turn included."""
        ...


class _Piece(NamedTuple):
    """One turn of a window: `size` bytes are learned; `seen` where an earlier window holds it.

    `rival` is the header under which it is read again, if it is, and `opening` then the length of its own.
    """

    tokens: Tokens
    size: int
    seen: bool = False
    opening: int = 0
    rival: tuple[int, ...] = ()


class Sampler:
    """Makes the windows of scenes for one set of taught characters; everybody is taught where it is None.

    Scenes longer than a window are continued in the next one behind as many earlier turns as fit
    into the overlap; those are context only, so one pass learns each line once.
    """

    def __init__(
        self,
        screenplay: Turns,
        taught: Collection[str] | None,
        *,
        window: int = WINDOW,
        masked_share: float = MASKED_SHARE,
        rival_share: float = 0.0,
    ) -> None:
        self.screenplay = screenplay
        self.taught = None if taught is None else frozenset(taught)
        self.window = window
        self.masked_share = masked_share
        self.rival_share = rival_share

    def windows(self, scenes: Iterable[Scene]) -> list[Window]:
        """Return the windows of `scenes` that teach anything."""
        return [window for scene in scenes for window in self._of_scene(scene, self.taught)]

    def epoch(self, scenes: Sequence[Scene], seed: int, epoch: int) -> list[Window]:
        """Return one pass over `scenes`, with some speakers under a stranger's name, and some lines with a rival."""
        windows: list[Window] = []
        for scene in scenes:
            draw = random.Random(f"{seed}:{epoch}:{scene.id}")  # noqa: S311 - sampling, not secrets
            masks = draw.random() < self.masked_share
            shown, taught = mask_a_speaker(scene, self.taught, draw) if masks else (scene, self.taught)
            windows += self._of_scene(shown, taught, draw)
        return windows

    def _of_scene(
        self, scene: Scene, taught: Collection[str] | None, draw: random.Random | None = None
    ) -> Iterator[Window]:
        pieces: list[_Piece] = []
        before: list[str] = []
        length = 0
        for turn in scene.turns:
            learned = teaches(turn, (turn.name,) if taught is None else taught)
            tokens = self.screenplay.turn(turn, learned=learned)
            if len(tokens.ids) > self.window:
                before.append(turn.name)
                continue  # a speech longer than a window could only be learned without its end
            if length + len(tokens.ids) > self.window:
                window = _closed(pieces, scene.episode)
                if window:
                    yield window
                pieces = _context(pieces, min(OVERLAP, self.window - len(tokens.ids)), seen=window is not None)
                length = sum(len(one.tokens.ids) for one in pieces)
            rival = self._rival(turn.name, before, draw) if learned and draw else ()
            opening = len(self.screenplay.header(turn.name)) if rival else 0
            before.append(turn.name)
            size = len(turn.text.encode()) if learned else 0
            pieces.append(_Piece(tokens, size, opening=opening, rival=rival))
            length += len(tokens.ids)
        window = _closed(pieces, scene.episode)
        if window:
            yield window

    def _rival(self, name: str, before: Sequence[str], draw: random.Random) -> tuple[int, ...]:
        """Return the header of a name that could as well have spoken here, () where there is none.

        Those are the taught who spoke before, but for the last speaker; where none has, all the taught.
        """
        if not self.rival_share or draw.random() >= self.rival_share:
            return ()
        alone = not self.taught or self.taught == {name}
        heard = {one for one in before if alone or one in (self.taught or ())}
        fair = sorted((heard or set(self.taught or ())) - {name, *before[-1:]})
        return tuple(self.screenplay.header(draw.choice(fair))) if fair else ()


def mask_a_speaker(
    scene: Scene, taught: Collection[str] | None, draw: random.Random
) -> tuple[Scene, Collection[str] | None]:
    """Give one speaker a stranger's name, so that such names mean something.

    Returns the scene and who is still taught in it: at least one character who was before, so a
    scene in which one alone is taught may come back as it was. Where everybody is taught (`taught`
    is None), the stranger is too: such a corpus teaches how people talk, whatever they are called.
    """
    speakers = sorted({turn.name for turn in scene.turns})
    present = [name for name in speakers if taught is None or name in taught]
    choice = [name for name in speakers if taught is None or name not in taught or len(present) > 1]
    if not choice or not present:
        return scene, taught
    masked = draw.choice(choice)
    stranger = draw.choice([name for name in STRANGERS if taught is not None or name not in speakers])
    turns = tuple(Turn(stranger if turn.name == masked else turn.name, turn.text) for turn in scene.turns)
    still = None if taught is None else frozenset(taught) - {masked, stranger}
    return Scene(turns, scene.id, scene.episode), still


def _closed(pieces: Sequence[_Piece], episode: str) -> Window | None:
    """Return the window of `pieces`, None where it would teach nothing."""
    replies = sum(piece.size > 0 for piece in pieces)
    if not replies:
        return None
    return Window(
        tuple(chain.from_iterable(piece.tokens.ids for piece in pieces)),
        tuple(chain.from_iterable(piece.tokens.learned for piece in pieces)),
        replies,
        sum(piece.size for piece in pieces),
        episode,
        sum(len(piece.tokens.ids) for piece in pieces if piece.seen),
        tuple(_rivals(pieces)),
    )


def _rivals(pieces: Sequence[_Piece]) -> Iterator[Rival]:
    ends = accumulate(len(piece.tokens.ids) for piece in pieces)
    for piece, end in zip(pieces, ends, strict=True):
        if piece.rival:
            at = end - len(piece.tokens.ids)
            start = at + piece.opening
            yield Rival(at, start, start + sum(piece.tokens.learned), piece.rival)


def _context(pieces: Sequence[_Piece], room: int, *, seen: bool) -> list[_Piece]:
    """Return the last pieces that fit into `room` tokens, as context; `seen` where their window was kept."""
    kept: list[_Piece] = []
    for piece in reversed(pieces):
        length = len(piece.tokens.ids)
        room -= length
        if room < 0:
            break
        kept.append(_Piece(Tokens(piece.tokens.ids, [False] * length), 0, seen or piece.seen))
    return kept[::-1]
