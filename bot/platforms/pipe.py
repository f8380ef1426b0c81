"""Lines in, one line out for each: the screen of pipes and programs."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, nullcontext, suppress
from io import BytesIO
from typing import BinaryIO, TextIO

from bot.platforms.talk import one_line
from bot.replier import Reply
from persona.characters import Persona

_LONGEST_LINE = 1 << 16


class Pipe:
    """Keeps `bot.platforms.talk.Screen`: each spoken line gets exactly one line on `stdout`.

    Everything else, the answers to commands included, goes to `stderr`. `as_json` makes each line
    an object with persona, name, kind and text.
    """

    def __init__(self, stdin: BinaryIO, stdout: TextIO, stderr: TextIO, *, as_json: bool = False) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._json = as_json

    @classmethod
    def of_this_process(cls, *, as_json: bool = False) -> "Pipe":
        """Join the standard streams."""
        # A reader of its own: one blocked in sys.stdin would hold the lock that the interpreter's end needs.
        stdin = open(sys.stdin.fileno(), "rb", closefd=False) if sys.stdin else BytesIO()  # noqa: SIM115
        return cls(stdin, sys.stdout, sys.stderr, as_json=as_json)

    async def lines(self) -> AsyncGenerator[str, None]:
        """Yield the lines. A thread reads them one at a time, so that nothing else waits for the input."""
        loop, wanted = asyncio.get_running_loop(), threading.Semaphore()
        queue: asyncio.Queue[bytes] = asyncio.Queue()

        def read() -> None:
            line = b"-"
            with suppress(RuntimeError):  # the loop has ended meanwhile
                while line and wanted.acquire():
                    line = self._read()
                    loop.call_soon_threadsafe(queue.put_nowait, line)

        threading.Thread(target=read, name="echochamber-stdin", daemon=True).start()
        try:
            while line := await queue.get():
                yield line.decode("utf-8", "replace")
                wanted.release()
        finally:
            wanted.release()  # whoever stops listening lets the thread go

    def opened(self, persona: Persona) -> None:
        """Say nothing: nobody has spoken yet."""

    def show(self, reply: Reply) -> None:
        """Write the reply's line."""
        text = one_line(reply.text)
        if self._json:
            fields = {"persona": reply.persona.id, "name": reply.persona.name, "kind": reply.kind, "text": text}
            text = json.dumps(fields, ensure_ascii=False)
        self._stdout.write(f"{text}\n")
        self._stdout.flush()

    def tell(self, text: str) -> None:
        """Write to stderr."""
        self._stderr.write(f"{text}\n")
        self._stderr.flush()

    def loading(self) -> AbstractContextManager[None]:
        """Say so once."""
        self.tell("The model is loading.")
        return nullcontext()

    def thinking(self) -> AbstractContextManager[None]:
        """Say nothing: the reply will."""
        return nullcontext()

    def forget(self) -> None:
        """Do nothing: no line is kept."""

    def _read(self) -> bytes:
        try:
            line = rest = self._stdin.readline(_LONGEST_LINE)
            while rest and not rest.endswith(b"\n"):  # one answer for a line, however long it is
                rest = self._stdin.readline(_LONGEST_LINE)
            return line
        except (OSError, ValueError):  # a terminal that went away, or a closed stdin
            return b""
