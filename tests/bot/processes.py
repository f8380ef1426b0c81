"""Starts `talker.py` as a process of its own and talks to it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Talker:
    """A running `talker.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def say(self, text: str) -> list[list[str]]:
        """Send a message; return the scene the engine was asked, as [name, text] pairs."""
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def leave(self) -> None:
        """Close its input, which ends it in order."""
        self.process.stdin.close()
        assert self.process.wait(30) == 0

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait(30)


@contextmanager
def talker(where: str | Path, chat: str = "c") -> Iterator[Talker]:
    """A talker that is ready; whatever the test did, it is gone afterwards."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("talker.py")), str(where), chat],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield Talker(process)
        finally:
            process.kill()
