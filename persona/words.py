"""Words as they are compared: the guard and the hash set of the training lines read a text alike."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
# Before NFKD, which makes a space and a mark of a free-standing accent.
_APOSTROPHES = dict.fromkeys(map(ord, "'’‘ʼ＇´`"))


def words_of(text: str) -> list[str]:
    """Return the words of `text` without case, width, punctuation, apostrophes, accents and invisible characters."""
    bare = text.translate(_APOSTROPHES)
    if not bare.isascii():
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", bare).casefold())
        bare = "".join(char for char in folded if not _is_mark(char))
    return _WORD.findall(bare.casefold())


def _is_mark(char: str) -> bool:
    category = unicodedata.category(char)
    return category.startswith("M") or category == "Cf"
