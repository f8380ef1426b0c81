"""Locks between processes: on files, so that the kernel drops a lock with the process that held it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Wait for the lock on `file`, and hold it."""
    with file.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def taken(file: Path) -> IO[bytes] | None:
    """Return `file` open and locked until it is closed, or None where another one has its lock."""
    lock = file.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
