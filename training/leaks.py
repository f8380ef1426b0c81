"""The leak check: held-out replies that stand word for word in what is trained on."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from persona.dialogue import Scene

SHORTEST = 6
_WORD = re.compile(r"[^\W_]+")
_WITHOUT_APOSTROPHES = dict.fromkeys(map(ord, "'’"))


@dataclass(frozen=True, slots=True)
class Leaks:
    """Of `checked` held-out replies of six words and more, `leaked` were there to be learned."""

    checked: int
    leaked: int

    @property
    def share(self) -> float:
        """Return the leaked share of the checked, 0 where there was nothing to check."""
        return self.leaked / self.checked if self.checked else 0.0

    def sentence(self) -> str:
        """Return the result for people."""
        if not self.checked:
            return f"Leak check: no held-out reply has {SHORTEST} words or more, so nothing could be checked."
        return (
            f"Leak check: {self.leaked} of {self.checked} held-out replies of {SHORTEST} words and more "
            f"({self.share:.1%}) stand word for word in a training scene."
        )


def find_leaks(held_out: Iterable[Scene], training: Iterable[Scene], taught: Collection[str] | None) -> Leaks:
    """Look for the lines of the taught (of everybody where `taught` is None) in the training scenes."""
    lines = (turn for scene in held_out for turn in scene.turns)
    replies = (turn.text for turn in lines if taught is None or turn.name in taught)
    return leaked_replies(replies, ([turn.text for turn in scene.turns] for scene in training))


def leaked_replies(replies: Iterable[str], trained: Iterable[Sequence[str]]) -> Leaks:
    """Look for `replies` in the running words of each of `trained`: a scene's or a window's texts.

    Case and punctuation make no difference, and a reply may run over the border of two texts. The
    first six words of every reply are looked up at every place; only where they stand is the rest
    compared, so the time is that of reading the words.
    """
    wanted: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    checked = 0
    for words in map(words_of, replies):
        if len(words) >= SHORTEST:
            checked += 1
            wanted[tuple(words[:SHORTEST])].append(_running(words))
    leaked = 0
    for texts in trained:
        words = words_of(" ".join(texts))
        running = ""
        for opening in wanted.keys() & set(zip(*(words[start:] for start in range(SHORTEST)), strict=False)):
            running = running or _running(words)
            missing = [reply for reply in wanted[opening] if reply not in running]
            leaked += len(wanted[opening]) - len(missing)
            wanted[opening] = missing
    return Leaks(checked, leaked)


def words_of(text: str) -> list[str]:
    """Return the words as they are compared: folded, without punctuation and apostrophes."""
    return _WORD.findall(text.casefold().translate(_WITHOUT_APOSTROPHES))


def _running(words: Sequence[str]) -> str:
    """Join words so that `in` finds whole ones only."""
    return f" {' '.join(words)} "
