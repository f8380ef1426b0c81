"""The card: `persona.json`, written into every checkpoint and read before any weight is.

It says which base the weights belong to, in which format they were taught, who can be talked to,
from which data, on which side of the split each held-out episode stood, what was measured, and how
candidate replies are ranked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from persona.characters import Persona, PersonaError
from persona.ranking import RankingError, Weights

FILE_NAME = "persona.json"
VERSION = 1


class CardError(ValueError):
    """A card that is missing, damaged or from another version, in one sentence."""


@dataclass(frozen=True, slots=True)
class BaseCard:
    """The base the weights belong to.

    `name` is what `--base` was given ("embedded", a hub id or a folder), `sha256` the checksum of
    its weights file (of the GGUF for the embedded base), `repo` and `weights` say in words what
    that is for people who want to load it elsewhere.
    """

    name: str
    sha256: str
    repo: str = ""
    weights: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """Everything a checkpoint knows about itself; see the module's first lines.

    `ranking` are the weights of `persona.ranking`; where it is empty, their defaults.
    """

    base: BaseCard
    format: str
    kind: Literal["adapter", "full"]
    characters: tuple[Persona, ...]
    data: tuple[Mapping[str, Any], ...] = ()
    split: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    measures: Mapping[str, Any] = field(default_factory=dict)
    ranking: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION

    def write(self, folder: Path) -> None:
        """Write `persona.json` into `folder`, whole or not at all."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        new = folder / f".{FILE_NAME}.new"
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(folder / FILE_NAME)


def read_card(folder: Path) -> Card:
    """Read the card of a checkpoint folder; raises CardError."""
    path = folder / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CardError(f"{folder} has no {FILE_NAME}, so it is not a checkpoint of EchoChamber") from error
    except (OSError, ValueError) as error:
        raise CardError(f"{path} cannot be read as JSON ({type(error).__name__}); the checkpoint is damaged") from error
    try:
        return _card(content)
    except (KeyError, TypeError, PersonaError, RankingError) as error:
        raise CardError(f"{path} is not a card that this version understands: {error}") from error


def _card(content: Any) -> Card:
    if not isinstance(content, Mapping):
        raise TypeError("it is not a JSON object")
    if content.get("version") != VERSION:
        raise TypeError(f"its version is {content.get('version')!r}, this program reads {VERSION}")
    if content["kind"] not in ("adapter", "full"):
        raise TypeError(f"its kind is {content['kind']!r}, neither 'adapter' nor 'full'")
    known = {one.name for one in fields(Card)}
    values = {key: value for key, value in content.items() if key in known}
    values["base"] = BaseCard(**content["base"])
    values["characters"] = _characters(content["characters"])
    values["data"] = tuple(content.get("data", ()))
    Weights.from_mapping(content.get("ranking", {}))
    return Card(**values)


def _characters(tables: Sequence[Mapping[str, Any]]) -> tuple[Persona, ...]:
    characters = tuple(Persona.from_mapping(table) for table in tables)
    if not characters:
        raise TypeError("it names no character")
    return characters
