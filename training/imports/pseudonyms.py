"""Fictional names for everybody who writes, in front of lines and inside them.

The names are given out in the order in which people first write, so a longer export of the same
chat names them alike. What cannot be known stays: nicknames, declined forms, and people who are
talked about but never write.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import count, islice, pairwise
from unicodedata import category, normalize

from persona.characters import folded
from training.imports.contacts import without_contacts

_DATA = tomllib.loads((files("training.imports") / "names.toml").read_text(encoding="utf-8"))
_FIRST, _LAST = _DATA["first_names"].split(), _DATA["last_names"].split()
_EVERYDAY, _NO_NAMES = frozenset(_DATA["everyday"].split()), frozenset(_DATA["no_names"].split())
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# Vowel signs, accents that stand alone, and what joins letters: parts of words that `\\w` leaves out.
_MARKS = "".join(chr(one) for one in range(0x300, 0x20000) if category(chr(one)).startswith("M")) + "\u200c\u200d"
_WORD = re.compile(rf"\w[\w{_MARKS}]*")
_LETTERS = re.compile(rf"[^\W\d_](?:[^\W\d_]|[{_MARKS}])+")
_HANDLE = re.compile(rf"(?<!\w)@(\w(?:[\w.{_MARKS}-]*[\w{_MARKS}])?)")
_EVERYBODY = {"everyone", "here", "role", "somebody"}
_WIDEST_GAP = 2


class Pseudonyms:
    """The fictional names of an export's senders.

    `of` gives each sender's name: it is the key, and no file holds it.
    """

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        names = {sender: [normalize("NFC", name) for name in known] for sender, known in names.items()}
        real = {folded(word) for known in names.values() for name in known for word in _WORD.findall(name)}
        self.of = dict(zip(names, islice(_fictional(real), len(names)), strict=True))
        self._handles = {folded(word) for name in self.of.values() for word in name.split()} | _EVERYBODY
        self._known: dict[tuple[str, ...], str] = {}
        self._unspaced: dict[str, str] = {}
        for learn in (self._learn_whole, self._learn_parts):
            for sender, known in names.items():
                for name in known:
                    learn(name, self.of[sender])
        self._longest: dict[str, int] = {}
        for words in self._known:
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    def disguised(self, text: str) -> str:
        """Return `text` with names, handles, links, addresses and long numbers replaced."""
        text = without_contacts(normalize("NFC", text), self._renamed)
        return _HANDLE.sub(lambda found: found[0] if folded(found[1]) in self._handles else "@someone", text)

    def _learn_whole(self, name: str, pseudonym: str) -> None:
        words = tuple(word.casefold() for word in _WORD.findall(name))
        if not any(map(_LETTERS.search, words)):  # a phone number, which mentions write without spaces
            words = tuple(filter(None, ["".join(words)]))
        if len(words) > 1 or (words and words[0] not in _NO_NAMES):
            self._known.setdefault(words, pseudonym)
        if _UNSPACED.search(name) and len(name) > 1:
            self._unspaced.setdefault(name, pseudonym)

    def _learn_parts(self, name: str, pseudonym: str) -> None:
        for part in _LETTERS.findall(name):
            if part.casefold() not in _NO_NAMES:
                self._known.setdefault((part.casefold(),), pseudonym)
                if _UNSPACED.search(part):
                    self._unspaced.setdefault(part, pseudonym)

    def _renamed(self, text: str) -> str:
        for name in sorted(self._unspaced, key=len, reverse=True):
            text = text.replace(name, self._unspaced[name])
        pieces, end = [], 0
        for start, stop, pseudonym in self._found(text):
            pieces += [text[end:start], pseudonym]
            end = stop
        return "".join(pieces) + text[end:]

    def _found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield (start, end, pseudonym) of the names in `text`; of those that begin at a word, the longest."""
        words = list(_WORD.finditer(text))
        at = 0
        while at < len(words):
            longest = self._longest.get(words[at][0].casefold(), 0)
            for size in range(longest, 0, -1):
                run = words[at : at + size]
                pseudonym = self._meant(run)
                if pseudonym:
                    yield run[0].start(), run[-1].end(), pseudonym
                    at += len(run)
                    break
            else:
                at += 1

    def _meant(self, run: Sequence[re.Match[str]]) -> str | None:
        """Return whom a run of words names, None where it names nobody."""
        if any(later.start() - earlier.end() > _WIDEST_GAP for earlier, later in pairwise(run)):
            return None
        words = tuple(word[0].casefold() for word in run)
        if len(words) == 1:
            everyday = len(words[0]) <= 2 or words[0] in _EVERYDAY
            if len(words[0]) == 1 or (everyday and not run[0][0][0].isupper()):
                return None
        return self._known.get(words)


def _fictional(real: set[str]) -> Iterator[str]:
    """Yield fictional names without end, none of them with a word of somebody's real name."""
    first_names = [name for name in _FIRST if folded(name) not in real] or ["Person"]
    last_names = ["", *(name for name in _LAST if folded(name) not in real)]
    for number in count(1):
        for last in last_names:
            for first in first_names:
                yield " ".join(filter(None, (first, last, str(number) if number > 1 else "")))
