"""Make what people type harmless before it is rendered.

A chat template renders a typed `<|im_end|>` as the real control token, and a user may call himself
like a character. `Screenplay` passes every name and text through this module, so nothing that a
person typed can end a turn, open another or speak as the character.
"""

import re
import unicodedata
from collections.abc import Iterable

from persona.characters import Persona, folded

GUEST = "Guest"
NAME_LENGTH = 32
_JOINERS = "\u200c\u200d"
# Emoji, Persian and Indic words are spelled with joiners; behind anything in ASCII they only hide.
_STRAY_JOINERS = re.compile(rf"(?<![^\x00-\x7f\s{_JOINERS}])[{_JOINERS}]+")
_WITHOUT_JOINERS = dict.fromkeys(map(ord, _JOINERS))


def harmless(text: str, controls: Iterable[str] = ()) -> str:
    """Return `text` on one line, without invisible characters and with look-alikes broken by a space.

    `controls` are the literal control tokens of the tokenizer in use; anything that opens like
    `<|` is broken whatever the tokenizer. The result is a fixed point: applying it again changes
    nothing.
    """
    text = _visible(text)
    markers = [marker for marker in {"<|", "|>", *controls} if len(marker) > 1 and marker.strip() == marker]
    bare = unicodedata.normalize("NFKC", text.translate(_WITHOUT_JOINERS))
    if any(marker in bare for marker in markers):
        text = _visible(bare)
    while found := [marker for marker in markers if marker in text]:
        for marker in found:
            text = text.replace(marker, f"{marker[0]} {marker[1:]}")
    return text


def harmless_name(name: str, controls: Iterable[str] = ()) -> str:
    """Return a speaker's name that fits the header of a turn; `Guest` where nothing is left of it.

    A colon, in whatever width, would end the header of EOS-joined formats, so it becomes a space.
    Names are cut after 32 characters: a name must not crowd the conversation out of the prompt. The
    result is a fixed point too, so a name checked once is the name that is rendered.
    """
    name = "".join(" " if ":" in unicodedata.normalize("NFKC", char) else char for char in name)
    return harmless(name, controls)[:NAME_LENGTH].strip() or GUEST


def guest_name(name: str, personas: Iterable[Persona]) -> str:
    """Return the name a user speaks under: his own, or `Guest` where it is a character's."""
    name = harmless_name(name)
    bare = folded(name)
    taken = {folded(one) for persona in personas for one in (persona.id, persona.name, *persona.aliases)}
    return GUEST if not bare or bare in taken else name


def _visible(text: str) -> str:
    kept = (
        " " if char.isspace() else char
        for char in text
        if char.isspace() or char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs")
    )
    return " ".join(_STRAY_JOINERS.sub("", "".join(kept)).split())
