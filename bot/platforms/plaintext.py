"""Plain text as chat services see it: positions in UTF-16 units, and what they turn into links."""

import re
from collections.abc import Iterable

PUNCTUATION = ",.!?"
WORD_JOINER = "\u2060"
_CLICKABLE = re.compile(r"[@#](?=\w)|(?<![\w/])/(?=\w)|\bt\.(?=me\b)", re.IGNORECASE)


def unclickable(text: str) -> str:
    """Return text in which no `@name` pings, and no `/command`, `#tag` or t.me link can be tapped.

    An invisible word joiner breaks each of them; a slash within a word starts no command.
    """
    return _CLICKABLE.sub(rf"\g<0>{WORD_JOINER}", text)


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Cut spans out, each an offset and a length in UTF-16 units, and the comma that goes with them."""
    for offset, length in sorted(spans, reverse=True):
        units = text.encode("utf-16-le")
        before = units[: 2 * offset].decode("utf-16-le").rstrip()
        after = units[2 * (offset + length) :].decode("utf-16-le").lstrip()
        text = f"{before.removesuffix(',')}{after}" if after[:1] in PUNCTUATION else f"{before} {after}"
    return text.strip().removeprefix(",").lstrip()
