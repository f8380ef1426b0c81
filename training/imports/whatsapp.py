"""WhatsApp's text export, as Android, iPhones and old iPhones write it, in any language.

The file's own layout is learned from the file: its lines agree on brackets, separators and
seconds, so a pasted date does not begin a message. What WhatsApp says itself is found without
knowing the language: an invisible left-to-right mark stands in front of it, it stands in angle
brackets, or in brackets behind a file's name. Only the notice that a message was deleted has to be known by its words.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.imports.chat import SERVICE, WORDLESS, ChatError, ChatExport, Message
from training.imports.files import read_text
from training.imports.moments import Clock, Written

_LRM = "\u200e"
_INVISIBLE = dict.fromkeys(map(ord, "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"))
_HEADER = re.compile(
    r"(?P<open>\[?)(?P<first>\d{1,4})(?P<mark>[-/.])\s?(?P<second>\d{1,2})(?P=mark)\s?(?P<third>\d{1,4})"
    r"(?P<before>[^\d\[\]:<>]{1,14}?)(?P<hour>\d{1,2})[:.](?P<minute>\d\d)(?:[:.](?P<seconds>\d\d))?"
    r"(?P<after>[^\d\[\]:<>]{0,12}?)(?P<close>\]|\s-|:)\s(?P<rest>.*)",
    re.DOTALL,
)
_SENDER = re.compile(r"(?P<name>[^:\n]+):(?:\s|$)")
_FILE = re.compile(r"(?P<name>.+\.\w{1,5}) \((?P<words>[^()\n]+)\)$")
_NUMBERED = re.compile(r"-\d{8}-WA\d{4,}\.\w+$")
_IN_ANGLES = re.compile(r"""(?:<(?=[^<>]*[\s:\u0080-\uffff])[^<>\n="/]+>\s*)+\Z""")
_QUOTES = ('"', "“”„", "«»")
_NOTICES = {
    *("null", "this message was deleted", "you deleted this message", "waiting for this message"),
    *("diese nachricht wurde gelöscht", "du hast diese nachricht gelöscht"),
    *("se eliminó este mensaje", "eliminaste este mensaje"),
    *("ce message a été supprimé", "vous avez supprimé ce message"),
    *("questo messaggio è stato eliminato", "hai eliminato questo messaggio"),
    *("mensagem apagada", "essa mensagem foi apagada", "esta mensagem foi apagada", "você apagou esta mensagem"),
    *("данное сообщение удалено", "вы удалили данное сообщение"),
    *("dit bericht is verwijderd", "je hebt dit bericht verwijderd"),
}


@dataclass
class _Entry:
    """One dated entry: the line it begins on, when it was written, and its lines without the header."""

    line: int
    written: Written
    lines: list[str] = field(default_factory=list)


def read_whatsapp(path: Path) -> ChatExport:
    """Read a text export, alone or in its zip file; raises ChatError."""
    export = ChatExport("whatsapp")
    entries = list(_entries(read_text(path), path, export))
    clock = Clock.of([(entry.line, entry.written) for entry in entries], str(path))
    export.remarks.append(clock.remark)
    chat, attached = [], _words_of_attachments(entries)
    for entry in entries:
        sender = _sender(entry.lines[0])
        text = "" if sender is None else _said(entry.lines, sender, attached)
        if sender is None or not text:
            export.dropped[SERVICE if sender is None else WORDLESS] += 1
            continue
        name = " ".join(sender.lstrip("~").split())
        export.saw(sender, name)
        chat.append(Message(sender, text, clock.time(entry.written, f"{path}, line {entry.line}")))
    export.chats.append(chat)
    return export


def _entries(text: str, path: Path, export: ChatExport) -> Iterator[_Entry]:
    lines = text.split("\n")
    found = [_HEADER.match(line.translate(_INVISIBLE)) for line in lines]
    layouts = Counter(_layout(header) for header in found if header)
    if not layouts:
        raise ChatError(f"{path} is not a WhatsApp export: no line begins with a date, a time and a name")
    layout = layouts.most_common(1)[0][0]
    entry = None
    for number, (line, header) in enumerate(zip(lines, found, strict=True), start=1):
        if header and _layout(header) == layout:
            if entry:
                yield entry
            entry = _Entry(number, Written.of(header), [_behind(line, header.start("rest"))])
        elif entry:
            entry.lines.append(line)
        elif line.strip():
            export.dropped["lines before the first message"] += 1
    if entry:
        yield entry


def _layout(header: re.Match[str]) -> tuple[str, ...]:
    """Return what all headers of a file have in common."""
    return header["open"], header["mark"], header["close"].strip(), "seconds" if header["seconds"] else ""


def _behind(line: str, position: int) -> str:
    """Return `line` from the visible character number `position` on, with the invisible ones in front of it."""
    place = 0
    while position:
        position -= ord(line[place]) not in _INVISIBLE
        place += 1
    return line[place:]


def _sender(line: str) -> str | None:
    """Return whose message a line begins; None for a notice, which may hold a colon in something it quotes."""
    found = _SENDER.match(line.translate(_INVISIBLE))
    if not found or any(sum(map(found["name"].count, marks)) % 2 for marks in _QUOTES):
        return None
    return found["name"]


def _words_of_attachments(entries: Iterable[_Entry]) -> set[str]:
    """Return what stands in brackets behind the files that WhatsApp numbered: "file attached", in any language."""
    words = {"file attached"}
    for line in (line.translate(_INVISIBLE) for entry in entries for line in entry.lines):
        found = _FILE.match(line)
        if found and _NUMBERED.search(found["name"]):
            words.add(found["words"])
    return words


def _said(lines: list[str], sender: str, attached: Collection[str]) -> str:
    """Return what a person wrote, without WhatsApp's own words about attachments, edits and deletions."""
    first = _behind(lines[0], len(sender) + 1).removeprefix(" ")
    written = [line.translate(_INVISIBLE).strip() for line in (first, *lines[1:]) if not _is_notice(line)]
    if written and (_IN_ANGLES.match(written[0]) or _is_attachment(written[0], attached)):
        written.pop(0)  # a caption follows on the next line
    text = _IN_ANGLES.sub("", "\n".join(written)).strip()
    return "" if text.casefold().rstrip(".") in _NOTICES else text


def _is_notice(line: str) -> bool:
    """Tell by the invisible mark whether WhatsApp wrote this line: an attachment, a poll's option, a notice."""
    return line.startswith(_LRM) or f" • {_LRM}" in line


def _is_attachment(line: str, attached: Collection[str]) -> bool:
    found = _FILE.match(line)
    return found is not None and found["words"] in attached
