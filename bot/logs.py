"""Logging to stderr: structured, with hashed ids only; never a message's text, a name or a token.

Other people's loggers are held to WARNING and to the wording of their messages: what they fill in,
and the text of an exception, may hold a token (httpx's addresses and python-telegram-bot's
InvalidToken do) or what somebody said.
"""

import hashlib
import logging
import re
import secrets
import sys
import traceback
from collections.abc import Iterable
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict

OURS = "bot"
_KEY = secrets.token_bytes(16)
_SECRETS = re.compile(
    r"\b\d{6,}:[\w-]{30,}"  # Telegram's tokens
    r"|[\w-]{20,}\.[\w-]{6}\.[\w-]{25,}"  # Discord's
    r"|(?<=://)[^/@\s]+(?=@)"  # a login in an address
)


def hashed(identifier: str) -> str:
    """Return a short hash of an id: the same within this process, meaningless outside it."""
    return hashlib.blake2b(identifier.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=6).hexdigest()


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the structured logger of one of our modules; it says nothing on stdout, set up or not."""
    return cast(
        structlog.stdlib.BoundLogger,
        structlog.wrap_logger(
            logging.getLogger(f"{OURS}.{name}"),
            processors=[structlog.stdlib.filter_by_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.stdlib.BoundLogger,
        ),
    )


def set_up(level: str = "INFO", *, secret: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (stderr), with each text in `secret` struck out.

    `level` holds for our own modules; raises ValueError if there is no such level.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(tuple(one for one in secret if one), colors=stream.isatty()))
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "of_echochamber", False):
            root.removeHandler(old)
    handler.of_echochamber = True  # type: ignore[attr-defined]  # lets a second set_up replace the first
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    for name in ("httpx", "httpcore", "telegram", "discord", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _formatter(secret: tuple[str, ...], *, colors: bool) -> logging.Formatter:
    known = re.compile("|".join([*map(re.escape, secret), _SECRETS.pattern]))

    def struck(text: str) -> str:
        return known.sub("***", text)

    def strike_out(_: Any, __: str, event: EventDict) -> EventDict:
        return {key: struck(value) if isinstance(value, str) else value for key, value in event.items()}

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            _wording,
            _exception_place,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            strike_out,
            structlog.dev.ConsoleRenderer(colors=colors),
        ]
    )


def _wording(_: Any, __: str, event: EventDict) -> EventDict:
    """Name the logger, and keep only the first line of a foreign message, its gaps not filled in."""
    record: logging.LogRecord = event["_record"]
    event["logger"] = record.name
    if not event.get("_from_structlog"):
        lines = str(record.msg).splitlines()
        event["event"] = lines[0] if lines else ""
        event.pop("stack_info", None)
    return event


def _exception_place(_: Any, __: str, event: EventDict) -> EventDict:
    """Turn an exception into its type and where it was raised, without its text."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        event["at"] = " > ".join(f"{frame.name}:{frame.lineno} in {_short(frame.filename)}" for frame in frames)
    return event


def _short(filename: str) -> str:
    return "/".join(filename.split("/")[-2:])
