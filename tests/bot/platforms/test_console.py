"""The terminal chat: through pipes in this process, and at a real pseudo-terminal in another."""

import asyncio
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from bot.engine.chooser import Chooser
from bot.engine.protocol import EngineError
from bot.engine.scripted import ScriptedEngine
from bot.ephemeral import EphemeralHistory
from bot.history import History
from bot.platforms.pipe import Pipe
from bot.platforms.talk import talk
from bot.replier import Replier, ReplierOptions
from persona.characters import PersonaError, friends

TALKER = [sys.executable, str(Path(__file__).with_name("console_talker.py"))]
ROOT = Path(__file__).parents[3]
JOEY = "Joey Tribbiani"


class Piped:
    """What came out of a conversation through pipes."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


def replier_of(engine: ScriptedEngine, history=None) -> Replier:
    return Replier(Chooser(engine, friends()), history or EphemeralHistory(), friends(), ReplierOptions(days=None))


async def loaded(notice: str | None = None) -> str | None:
    return notice


async def pipe(engine: ScriptedEngine, said: bytes, *, as_json=False, persona=None, history=None) -> Piped:
    piped = Piped()
    screen = Pipe(io.BytesIO(said), piped.out, piped.err, as_json=as_json)
    async with asyncio.timeout(20):
        await talk(replier_of(engine, history), loaded(), screen, persona, asyncio.Event())
    return piped


async def test_each_spoken_line_gets_one_line():
    engine = ScriptedEngine(["One.", "Two.", "Three."])
    piped = await pipe(engine, b"hi\n\n   \nhow are you?\r\nlast without a newline")
    assert piped.lines == ["One.", "Two.", "Three."]
    turns = [(turn.name, turn.text) for turn in engine.asked[-1].conversation.turns]
    assert turns == [
        ("Guest", "hi"),
        (JOEY, "One."),
        ("Guest", "how are you?"),
        (JOEY, "Two."),
        ("Guest", "last without a newline"),
    ]


async def test_a_line_too_long_to_be_read_whole_gets_one_line_too():
    piped = await pipe(ScriptedEngine(["One.", "Two."]), b"a" * 70_000 + b" b\n" + b"next\n")
    assert piped.lines == ["One.", "Two."]


async def test_commands_answer_on_stderr_and_are_not_said():
    engine = ScriptedEngine(["One."])
    piped = await pipe(engine, b"/persona\n/persona Phoebe\nhi\n/persona me\n/help\n/dance\n/reset\n/PERSONA\n")
    assert piped.lines == ["One."]
    assert [request.persona.id for request in engine.asked] == ["phoebe"]
    told = piped.err.getvalue()
    for part in (
        "You are talking to Joey Tribbiani; /persona NAME changes that: joey, chandler",
        "You are talking to Phoebe Buffay now.",
        "Nobody here is called 'me'; choose one of joey, chandler",
        "Nothing of this conversation is stored.",
        "There is no command /dance; /help lists what there is.",
        "this conversation begins anew",
    ):
        assert part in told


async def test_the_filter_is_shown_set_and_kept(history: History):
    engine = ScriptedEngine(["Damn it."])
    piped = await pipe(engine, b"/filter\n/filter loud\nhi\n/FILTER Strict\nhi\n", history=history)
    assert piped.lines[0] == "Damn it."
    assert piped.lines[1] in friends()[0].fallbacks
    told = piped.err.getvalue()
    for part in (
        "The filter is slurs: I say no slurs and make no threats. /filter LEVEL changes that: off, slurs, strict.",
        "There is no filter called 'loud'; choose one of off, slurs, strict.",
        "The filter is strict: I say no slurs, make no threats and don't swear.",
    ):
        assert part in told
    again = await pipe(ScriptedEngine(["Damn it."]), b"/reset\n/filter\nhi\n", history=history)
    assert "The filter is strict" in again.err.getvalue()
    assert again.lines[0] in friends()[0].fallbacks


@pytest.mark.parametrize("command", ["/reset", "/forget"])
async def test_after_reset_and_forget_the_scene_is_empty(command: str, history: History):
    engine = ScriptedEngine(["One.", "Two."])
    await pipe(engine, f"hi\n{command}\nhello\n".encode(), history=history)
    assert [turn.text for turn in engine.asked[-1].conversation.turns] == ["hello"]


async def test_the_conversation_and_the_persona_outlive_the_process(history: History):
    await pipe(ScriptedEngine(["One."]), b"hi\n", history=history, persona="chandler")
    engine = ScriptedEngine(["Two."])
    await pipe(engine, b"hello\n", history=history)
    assert engine.asked[0].persona.id == "chandler"
    assert [turn.text for turn in engine.asked[0].conversation.turns] == ["hi", "One.", "hello"]


async def test_json_says_who_and_what_kind():
    engine = ScriptedEngine(["Well, hé.", "<|", "<|"])
    first, second = map(json.loads, (await pipe(engine, b"hi\nyo\n", as_json=True)).lines)
    assert first == {"persona": "joey", "name": JOEY, "kind": "reply", "text": "Well, hé."}
    assert second["kind"] == "fallback"
    assert second["text"] in friends()[0].fallbacks


async def test_nothing_said_steers_a_terminal_or_breaks_a_line():
    piped = await pipe(ScriptedEngine(["red \x1b[31mtext\x07 and\x85more"]), b"hi\n")
    assert piped.lines == ["red [31mtext and more"]


async def test_bytes_that_are_no_text_are_said_somehow():
    engine = ScriptedEngine(["One."])
    assert (await pipe(engine, b"\xff\xfe caf\xe9\n")).lines == ["One."]
    assert "caf" in engine.asked[0].conversation.turns[0].text


async def test_an_unknown_persona_ends_the_talk():
    with pytest.raises(PersonaError, match="nobody here is called 'gunther'"):
        await pipe(ScriptedEngine(["One."]), b"hi\n", persona="gunther")


@pytest.fixture
def open_pipe() -> Iterator[tuple[Pipe, BinaryIO]]:
    """A pipe that nobody has written to yet, and its other end."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb", buffering=0) as other_end:
        yield Pipe(stdin, io.StringIO(), io.StringIO()), other_end
        # Closing the other end let the reading thread go.


async def test_a_model_that_does_not_load_ends_the_talk(open_pipe):
    async def fails() -> str | None:
        raise EngineError("the model is broken")

    with pytest.raises(EngineError, match="broken"):
        await talk(replier_of(ScriptedEngine(["One."])), fails(), open_pipe[0], None, asyncio.Event())


async def test_a_reply_has_all_its_time_however_long_the_model_loads():
    asked_while_loading: list[int] = []

    async def slow() -> str | None:
        await asyncio.sleep(0.1)
        asked_while_loading.append(len(engine.asked))
        return None

    engine, piped = ScriptedEngine(["One."]), Piped()
    screen = Pipe(io.BytesIO(b"/help\nhi\n"), piped.out, piped.err)
    async with asyncio.timeout(20):
        await talk(replier_of(engine), slow(), screen, None, asyncio.Event())
    assert asked_while_loading == [0]
    assert piped.lines == ["One."]


async def test_waiting_for_a_line_stops_nothing_else(open_pipe):
    screen, other_end = open_pipe
    stop = asyncio.Event()
    engine = ScriptedEngine(["One."])
    talking = asyncio.create_task(talk(replier_of(engine), loaded(), screen, None, stop))
    async with asyncio.timeout(10):
        for _ in range(20):
            await asyncio.sleep(0.001)  # the loop turns while the pipe is empty
        other_end.write(b"hi\n")
        while not engine.asked:  # noqa: ASYNC110 - the scripted engine has no event to wait for
            await asyncio.sleep(0.001)
        stop.set()
        await talking


def talk_through_pipes(*arguments: str, said: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TALKER, *arguments], input=said, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_a_process_with_piped_input_says_replies_only_on_stdout():
    done = talk_through_pipes("One.", "Two.", said="hi\nyou?\n")
    assert (done.returncode, done.stdout) == (0, "One.\nTwo.\n")
    assert done.stderr.startswith("The model is loading.\nThis is only a script.\n")


def test_a_reader_that_leaves_is_no_error():
    command = f"yes hi | {' '.join(TALKER)} One. | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[1]}}"], capture_output=True, text=True, timeout=60, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.stdout == "One.\n0\n"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


class PseudoTerminal:
    """The talker at a terminal of 100 columns, and what stands on it, escape sequences taken out."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        self.process = subprocess.Popen(
            [*TALKER, *arguments], stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.raw = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def shows(self, text: str, times: int = 1) -> None:
        """Wait until `text` has been drawn at least so often."""
        end = time.monotonic() + 20
        while self.seen.count(text) < times:
            assert time.monotonic() < end, self.seen
            self._read()

    def ended(self, key: str = "") -> int:
        """Press `key` until it is heard (a terminal that is being written to may miss one) and return the exit code."""
        end, again = time.monotonic() + 20, 0.0
        while self.process.poll() is None:
            assert time.monotonic() < end, self.seen
            if key and time.monotonic() > again:
                self.press(key)
                again = time.monotonic() + 2
            self._read()
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    @property
    def seen(self) -> str:
        moved = re.sub(r"\x1b\[(\d*)C", lambda move: " " * int(move[1] or 1), self.raw)
        return re.sub(r"\x1b(?:\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07|[=>])", "", moved).replace("\r", "")

    def _read(self) -> None:
        if select.select([self._master], [], [], 0.05)[0]:
            with suppress(OSError):  # the other end is closed
                new = os.read(self._master, 65536).decode("utf-8", "replace")
                self.raw += new
                if "\x1b[6n" in new:  # where is the cursor?
                    self.press("\x1b[1;1R")


@pytest.fixture
def terminal() -> Iterator[Callable[..., PseudoTerminal]]:
    made: list[PseudoTerminal] = []

    def make(*arguments: str) -> PseudoTerminal:
        made.append(PseudoTerminal(*arguments))
        made[-1].shows("You:")
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_talking_at_a_terminal(terminal):
    screen = terminal("Well, hello.", "Bye.")
    screen.shows("Joey Tribbiani: Hey! How you doin'?")
    screen.shows("This is only a script.")
    screen.press("hi there\r")
    screen.shows("Joey Tribbiani: Well, hello.")
    assert re.search(r"\x1b\[[0-9;]*36m.*Joey Tribbiani", screen.raw)  # in colour
    screen.press("/persona chandler\r")
    screen.shows("You are talking to Chandler Bing now.")
    screen.press("bye\r")
    screen.shows("Chandler Bing: Bye.")
    assert screen.ended("\x04") == 0
    assert "Traceback" not in screen.seen


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_leave_while_a_reply_is_made(terminal, key: str):
    screen = terminal("--slow", "Never said.")
    screen.press("hi\r")
    screen.shows("thinking ...")
    assert screen.ended(key) == 0
    assert "Traceback" not in screen.seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves(terminal, number: int):
    screen = terminal("Hello.")
    screen.process.send_signal(number)
    assert screen.ended() == 0


def test_the_arrow_keys_bring_back_what_was_typed_before(terminal, tmp_path: Path):
    typed = tmp_path / "deep" / "typed"
    first = terminal("--typed", str(typed), "Hello.")
    first.press("my favourite line\r")
    first.shows("Joey Tribbiani: Hello.")
    assert first.ended("\x04") == 0
    assert typed.stat().st_mode & 0o777 == 0o600
    second = terminal("--typed", str(typed), "Hello again.")
    second.press("\x1b[A")
    second.shows("You: my favourite line")
    second.press("\r")
    second.shows("Joey Tribbiani: Hello again.")
    second.press("/forget\r")
    second.shows("the lines you typed here")
    assert second.ended("\x04") == 0
    assert "favourite" not in typed.read_text()


def test_a_model_that_does_not_load_ends_the_terminal_too(terminal):
    screen = terminal("--load-fails", "Hello.")
    assert screen.ended() == 1
    assert "EngineError: the model is broken" in screen.seen  # the command line makes a sentence of it
