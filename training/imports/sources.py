"""Which messenger an export comes from, and the files it consists of."""

from collections.abc import Callable
from pathlib import Path
from zipfile import is_zipfile

from training.imports.chat import ChatError, ChatExport
from training.imports.discord import read_discord
from training.imports.telegram import read_telegram
from training.imports.whatsapp import read_whatsapp

AUTO = "auto"
TELEGRAM, DISCORD, WHATSAPP = MESSENGERS = ("telegram", "discord", "whatsapp")
_FILES = {TELEGRAM: "result.json", DISCORD: "*.json", WHATSAPP: "*.txt"}
_READERS: dict[str, Callable[[list[Path]], ChatExport]] = {
    TELEGRAM: lambda paths: read_telegram(paths[0]),
    DISCORD: read_discord,
    WHATSAPP: lambda paths: read_whatsapp(paths[0]),
}
_HEAD = 4096


def read_export(path: Path, messenger: str = AUTO) -> ChatExport:
    """Read an export, a file or a folder of files; raises ChatError."""
    try:
        return _read_export(path, messenger)
    except OSError as error:
        raise ChatError(f"cannot read {path}: {error.strerror or type(error).__name__}") from error


def _read_export(path: Path, messenger: str) -> ChatExport:
    if not path.exists():
        raise ChatError(f"there is no file or folder {path}")
    if messenger not in (AUTO, *MESSENGERS):
        raise ChatError(f"there is no messenger {messenger!r} here; choose {AUTO}, {', '.join(MESSENGERS)}")
    if messenger == AUTO:
        messenger = _messenger(path)
    paths = sorted(path.glob(_FILES[messenger])) if path.is_dir() else [path]
    if not paths:
        raise ChatError(f"the folder {path} holds no {_FILES[messenger]}")
    if len(paths) > 1 and messenger != DISCORD:
        raise ChatError(f"the folder {path} holds {len(paths)} files of {_FILES[messenger]}: name one of them")
    export = _READERS[messenger](paths)
    if not any(export.chats):
        raise ChatError(f"{path} holds no message with words in it that somebody wrote")
    return export


def _messenger(path: Path) -> str:
    """Tell an export by its files: DiscordChatExporter's begin with the server, a text is WhatsApp's."""
    if path.is_dir():
        found = [messenger for messenger, files in _FILES.items() if any(path.glob(files))]
        if not found:
            raise ChatError(f"the folder {path} holds neither a result.json nor other .json or .txt files")
        return found[0]
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise ChatError(f"cannot read {path}: {error.strerror or type(error).__name__}") from error
    if is_zipfile(path) or not head.startswith((b"{", b"[{", b"[\n", b"[]")):
        return WHATSAPP
    return DISCORD if b'"guild"' in head else TELEGRAM
