"""Reading exports: text, JSON and moments, with whatever is wrong said in one sentence."""

import json
import math
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from training.imports.chat import ChatError


def read_text(path: Path) -> str:
    """Return the text of a file, or of the one text in a zip file; raises ChatError."""
    try:
        content = _unzipped(path) if is_zipfile(path) else path.read_bytes()
    except (BadZipFile, RuntimeError, zlib.error, EOFError) as error:  # the second for one with a password
        raise ChatError(f"{path} is a zip file that cannot be unpacked") from error
    except OSError as error:
        raise ChatError(f"cannot read {path}: {error.strerror or type(error).__name__}") from error
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ChatError(f"{path} is not text in UTF-8: byte {error.start + 1:,} fits no character") from error


def read_json(path: Path, mend: Callable[[str], str] | None = None) -> Any:
    """Return what a JSON file holds, after `mend` where it cannot be read as it is; raises ChatError."""
    text = read_text(path)
    try:
        return _parsed(text, mend)
    except RecursionError as error:
        raise ChatError(f"{path} is not an export: it is nested too deeply") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ChatError(f"{path} is not whole JSON: it cannot be read from {place} on") from error


def seconds(moment: Any, place: str) -> float:
    """Return the Unix time of a number or an ISO 8601 date, in UTC where it names no zone; raises ChatError."""
    try:
        if isinstance(moment, str) and not moment.isdecimal():
            date = datetime.fromisoformat(moment)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        time = float(moment)
    except (TypeError, ValueError, OverflowError) as error:
        raise ChatError(f"{place} has no date that can be read") from error
    if not math.isfinite(time):
        raise ChatError(f"{place} has no date that can be read")
    return time


def _parsed(text: str, mend: Callable[[str], str] | None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        if mend is None:
            raise
        return json.loads(mend(text))


def _unzipped(path: Path) -> bytes:
    with ZipFile(path) as archive:
        texts = [name for name in archive.namelist() if name.lower().endswith(".txt")]
        chats = [name for name in texts if "chat" in name.lower()] or texts
        if len(chats) != 1:
            raise ChatError(
                f"{path} holds {len(chats)} text files where an export has one: unpack it and name the file"
            )
        return archive.read(chats[0])
