"""What may leave the house: a reply-side filter for what a small model does when it slips.

It reads as tags, speaks for somebody else, runs in circles or says the same again. Whether a text
is offensive is a predicate handed in.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from persona.characters import Persona
from persona.dialogue import Scene

_LONGEST_LOOP = 4
_TIMES = 3
_SHORT_REPEAT = 3
_TAG = re.compile(
    r"<\s?\||\|\s?>|</?(?:s|unk|pad|bos|eos)>|\[/?(?:inst|unk|pad|bos|eos|sep|cls|mask)\]|<</?sys>>"
    r"|im_(?:start|end)|endoftext",
    re.IGNORECASE,
)
_PUNCTUATION_RUN = re.compile(r"([^\w\s]|_)\1{3}")
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_BREAK = r"""(?:\A|[\n\r]|[.!?…]["'”’)\]]*\s)\W*"""


def refusal(
    reply: str,
    conversation: Scene,
    persona: Persona,
    others: Sequence[Persona],
    offensive: Callable[[str], bool] | None = None,
) -> str | None:
    """Return why `reply` may not be said by `persona` next in `conversation`, None where it may."""
    plain = unicodedata.normalize("NFKC", reply)
    words = [word.casefold() for word in _WORD.findall(plain)]
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("empty", lambda: not any(char.isalnum() for char in plain)),
        ("tag", lambda: bool(_TAG.search(plain))),
        ("another speaker", lambda: _speaks_as(plain, _names(conversation, (persona, *others)))),
        ("loop", lambda: _loops(words)),
        ("punctuation", lambda: bool(_PUNCTUATION_RUN.search(plain))),
        ("repeat", lambda: len(words) > _SHORT_REPEAT and words == _previous(conversation, persona)),
        ("offensive", lambda: offensive is not None and offensive(reply)),
    )
    return next((reason for reason, refused in checks if refused()), None)


def _names(conversation: Scene, personas: Iterable[Persona]) -> set[str]:
    known = {turn.name for turn in conversation.turns}
    for one in personas:
        known |= {one.id, one.name, *one.aliases}
    return {" ".join(unicodedata.normalize("NFKC", name).split()) for name in known} - {""}


def _speaks_as(text: str, names: Iterable[str]) -> bool:
    """Find `Name:`, or a line that is nothing but a name, as the two screenplay formats open a turn."""
    either = "|".join(r"\s+".join(map(re.escape, name.split())) for name in names)
    return bool(re.search(rf"{_BREAK}(?:{either})(?:\s*:|[ \t]*[\n\r])", text, re.IGNORECASE))


def _loops(words: Sequence[str]) -> bool:
    for size in range(1, _LONGEST_LOOP + 1):
        run = 0
        for at in range(size, len(words)):
            run = run + 1 if words[at] == words[at - size] else 0
            if run == size * (_TIMES - 1):
                return True
    return False


def _previous(conversation: Scene, persona: Persona) -> list[str] | None:
    for turn in reversed(conversation.turns):
        if turn.name == persona.name:
            return [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFKC", turn.text))]
    return None
