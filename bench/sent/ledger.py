"""What was sent, kept on disk line by line as it comes, so that a killed run goes on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate for a reply; `refusal` is the guard's reason, None where it let it pass.

    One that was cut off stands as it was drawn, or, where the guard let it pass, up to its last whole sentence.
    """

    text: str
    finish_reason: str
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A reply that was sent, with everything that it takes to judge it.

    `partner` is the id of the other character, empty where a stranger talks; `asked` the kind of the
    message, `kind` the replier's word for the answer, `scene` the names and texts of the turns before
    it. `seconds` passed from the message to the reply, those of the chooser's `steps` within them;
    `busy` is how often the bot said first that it is talking to too many people.
    """

    talk: int
    turn: int
    persona: str
    partner: str
    asked: str
    kind: str
    text: str
    finish_reason: str
    seconds: float
    steps: Mapping[str, float]
    scene: tuple[tuple[str, str], ...]
    drafts: tuple[Draft, ...]
    busy: int = 0

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> "Sent":
        """Read one back from JSON."""
        scene = tuple((name, text) for name, text in fields["scene"])
        drafts = tuple(Draft(**one) for one in fields["drafts"])
        return cls(**{**fields, "scene": scene, "drafts": drafts})


class Ledger:
    """`replies.jsonl` in a folder: what was sent, a line each, on the disk as soon as it is known."""

    def __init__(self, folder: Path) -> None:
        """Read what is there; a last line that a kill cut short is dropped."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "replies.jsonl"
        whole = self._file.read_bytes().rpartition(b"\n")[0] if self._file.is_file() else b""
        self.sent = [Sent.from_mapping(json.loads(line)) for line in whole.splitlines()]
        self._file.write_bytes(whole + b"\n" if whole else b"")

    def add(self, sent: Sent) -> None:
        """Append a reply."""
        self.sent.append(sent)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(sent)) + "\n")

    def of(self, talk: int) -> list[Sent]:
        """Return what was sent in a conversation, in order."""
        return sorted((one for one in self.sent if one.talk == talk), key=lambda one: one.turn)
