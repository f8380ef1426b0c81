"""Personas: who can be taught and talked to. The six friends are data in `friends.toml`.

Any speaker of a corpus can be made a persona: by a TOML file of one's own with the same fields,
or just by the speaker's name.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any


class PersonaError(ValueError):
    """A persona that does not exist or a persona file that cannot be read, in one sentence."""


@dataclass(frozen=True, slots=True)
class Persona:
    """A character: `name` is the speaker's name in the corpus and in every prompt.

    `premise` describes the character to people (it is never part of a prompt), `greeting` opens a
    conversation, and one of `fallbacks` is said when the guard lets nothing else leave the house. `untrue` is
    what the character would be wrong to say: "I'm a waitress", "my wife"; the guard lets none of it pass.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    premise: str = ""
    greeting: str = "Hi."
    fallbacks: tuple[str, ...] = ("Sorry, I lost my thread. Say that again?",)
    untrue: tuple[str, ...] = ()

    @classmethod
    def from_speaker(cls, name: str) -> "Persona":
        """Make a persona of a corpus speaker that nobody has written a TOML entry for."""
        return cls(id=re.sub(r"[^\w]+", "-", name.casefold()).strip("-") or "speaker", name=name)

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> "Persona":
        """Build a persona from a TOML table or a card's JSON object; raises PersonaError."""
        if not isinstance(fields, Mapping):
            raise PersonaError("a character must be a table of named fields")
        known = {"id", "name", "aliases", "premise", "greeting", "fallbacks", "untrue"}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise PersonaError(f"a character has the unknown field {unknown[0]!r}; known are {sorted(known)}")
        for field in ("id", "name"):
            if not isinstance(fields.get(field), str) or not fields[field].strip():
                raise PersonaError(f"a character needs the text field {field!r}")
        values = {key: _checked(key, value) for key, value in fields.items()}
        if values.get("fallbacks") == ():
            raise PersonaError(f"character {fields['id']!r} needs at least one line in 'fallbacks'")
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields, as they stand in a card."""
        return asdict(self)

    def answers_to(self, text: str) -> bool:
        """Say whether `text` is this persona's id, name or an alias, however it is spelled."""
        return folded(text) in {folded(one) for one in (self.id, self.name, *self.aliases)}


def folded(name: str) -> str:
    """Fold a name so that case, width, spacing and punctuation make no difference.

    Two passes of NFKC: folding the case of a compatibility character can give another one.
    """
    once = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in unicodedata.normalize("NFKC", once) if char.isalnum())


def friends() -> tuple[Persona, ...]:
    """Return the six friends."""
    return parse_personas((files("persona") / "friends.toml").read_text(encoding="utf-8"), "friends.toml")


def read_personas(path: Path) -> tuple[Persona, ...]:
    """Read the personas of a TOML file laid out like `persona/friends.toml`; raises PersonaError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PersonaError(f"cannot read the persona file {path}: {type(error).__name__}") from error
    return parse_personas(text, str(path))


def parse_personas(text: str, where: str) -> tuple[Persona, ...]:
    """Parse TOML with one `[[character]]` table a persona; raises PersonaError naming `where`."""
    try:
        tables = tomllib.loads(text).get("character", [])
    except tomllib.TOMLDecodeError as error:
        raise PersonaError(f"{where} is not TOML: {error}") from error
    if not isinstance(tables, list) or not tables:
        raise PersonaError(f"{where} has no [[character]] table")
    try:
        personas = tuple(Persona.from_mapping(table) for table in tables)
    except PersonaError as error:
        raise PersonaError(f"{where}: {error}") from error
    if len({one.id for one in personas}) < len(personas):
        raise PersonaError(f"{where} gives the same id to two characters")
    return personas


def find_persona(wanted: str, personas: Sequence[Persona]) -> Persona:
    """Return the persona that answers to `wanted`; raises PersonaError listing those that exist."""
    for persona in personas:
        if persona.answers_to(wanted):
            return persona
    raise PersonaError(f"nobody here is called {wanted!r}; choose one of {listing(personas)}")


def listing(personas: Iterable[Persona]) -> str:
    """Return the ids, comma-separated, for messages."""
    return ", ".join(persona.id for persona in personas)


def _checked(field: str, value: Any) -> Any:
    if field in ("aliases", "fallbacks", "untrue"):
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise PersonaError(f"a character's {field!r} must be a list of texts")
        return tuple(value)
    if not isinstance(value, str):
        raise PersonaError(f"a character's {field!r} must be a text")
    return value
