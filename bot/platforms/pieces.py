"""Cut a text into messages that a platform takes: Discord and Telegram count UTF-16 code units."""

import re

_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*(?=\s)|(?=\n)""")
_SPACE = re.compile(r"(?=\s)")


def pieces(text: str, limit: int) -> list[str]:
    """Return `text` in pieces of at most `limit` UTF-16 code units; raises ValueError below 2.

    A cut falls behind a sentence where that leaves the piece at least half full, else at a space,
    else inside a word but never inside a character. Only the white space at a cut is dropped, and
    no piece is empty: a blank text has none.
    """
    if limit < 2:
        raise ValueError("a piece must have room for any character, which may take two units")
    found = []
    rest = text.strip()
    while rest:
        cut = _cut(rest, limit)
        found.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return found


def _cut(text: str, limit: int) -> int:
    """Return how many characters of `text` the next piece takes."""
    fitting = _fitting(text, limit)
    if fitting == len(text):
        return fitting
    window = text[: fitting + 1]  # the space behind the last fitting character is a border too
    sentences = [match.end() for match in _SENTENCE_END.finditer(window)]
    if sentences and sentences[-1] * 2 >= fitting:
        return sentences[-1]
    spaces = [match.end() for match in _SPACE.finditer(window) if match.end()]
    return spaces[-1] if spaces else fitting


def _fitting(text: str, limit: int) -> int:
    units = 0
    for count, char in enumerate(text):
        units += 2 if ord(char) > 0xFFFF else 1
        if units > limit:
            return count
    return len(text)
