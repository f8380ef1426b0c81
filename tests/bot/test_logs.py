"""What reaches stderr, and what never does: tokens, texts, names, other people's exception texts."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bot import logs

TELEGRAM = "123456789:AAExampleExampleExampleExampleExam1"
DISCORD = "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.GxYzAb.abcdefghijklmnopqrstuvwxyz0123456789AB"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    names = (None, "bot", "httpx", "httpcore", "telegram", "discord", "aiohttp", "asyncio")
    before = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    stream = io.StringIO()
    logs.set_up("INFO", secret=["hunter2", ""], stream=stream)
    yield stream
    logging.getLogger().handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def test_our_events_are_structured(stream: io.StringIO) -> None:
    logs.logger("replier").info("reply sent", conversation="abc", seconds=1.5)
    logs.logger("replier").debug("too quiet")
    told = stream.getvalue()
    assert all(part in told for part in ("info", "reply sent", "conversation=abc", "seconds=1.5", "bot.replier"))
    assert "too quiet" not in told


def test_setting_up_again_replaces_the_first(stream: io.StringIO) -> None:
    again = io.StringIO()
    logs.set_up("DEBUG", stream=again)
    logs.logger("replier").debug("once")
    assert (stream.getvalue(), again.getvalue().count("once")) == ("", 1)


def test_an_unknown_level_is_a_value_error(stream: io.StringIO) -> None:
    with pytest.raises(ValueError, match="LOUD"):
        logs.set_up("LOUD", stream=stream)


@pytest.mark.parametrize("secret", ["hunter2", TELEGRAM, DISCORD])
def test_secrets_are_struck_out_of_our_own_events(stream: io.StringIO, secret: str) -> None:
    logs.logger("app").warning(f"cannot use {secret}", url=f"redis://sam:pass123@host/{secret}/x")
    told = stream.getvalue()
    assert secret not in told
    assert "pass123" not in told
    assert "cannot use ***" in told


@pytest.mark.parametrize("name", ["httpx", "httpcore", "telegram.ext", "discord.gateway", "aiohttp.client", "x"])
def test_others_are_silent_below_warning(stream: io.StringIO, name: str) -> None:
    logs.set_up("DEBUG", stream=stream)
    logging.getLogger(name).info("HTTP Request: POST https://api.telegram.org/bot%s/getMe", TELEGRAM)
    assert stream.getvalue() == ""


def test_others_warnings_keep_their_wording_and_nothing_filled_in(stream: io.StringIO) -> None:
    logging.getLogger("discord.http").warning("We are being rate limited by %s.\nBody: %s", "Sam", "what was said")
    told = stream.getvalue()
    assert "We are being rate limited by %s." in told
    assert "discord.http" in told
    assert "Sam" not in told
    assert "said" not in told


def test_an_exception_shows_its_type_and_place_but_not_its_text(stream: io.StringIO) -> None:
    for logger in (logging.getLogger("telegram.ext.Application"), logs.logger("platforms.telegram")):
        try:
            raise ValueError(f"The token {TELEGRAM} was rejected; somebody said potato")
        except ValueError:
            logger.exception("No error handlers are registered, logging exception.")
    told = stream.getvalue()
    assert told.count("error=ValueError") == 2
    assert told.count("test_logs.py") == 2
    assert "potato" not in told
    assert "123456789" not in told
    assert "Traceback" not in told


def test_asyncios_report_of_a_lost_exception_holds_no_text(stream: io.StringIO) -> None:
    error = ValueError("somebody said potato")
    logging.getLogger("asyncio").error(
        f"Task exception was never retrieved\nfuture: <Task exception={error!r}>", exc_info=error
    )
    assert "Task exception was never retrieved" in stream.getvalue()
    assert "error=ValueError" in stream.getvalue()
    assert "potato" not in stream.getvalue()


def test_ids_are_hashed_the_same_within_a_process_only() -> None:
    assert logs.hashed("-100") == logs.hashed("-100") != logs.hashed("-101")
    other = subprocess.run(
        [sys.executable, "-c", "from bot import logs; print(logs.hashed('-100'))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(other.stdout.strip()) == len(logs.hashed("-100")) == 12
    assert other.stdout.strip() != logs.hashed("-100")


def test_nothing_goes_to_stdout_even_when_nothing_was_set_up() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from bot import logs; logs.logger('x').warning('watch out')"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ""
    assert "watch out" in done.stderr
