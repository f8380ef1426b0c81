"""SIGINT and SIGTERM as a flag: a run saves and leaves, whatever it was doing."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def set_by_signals() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into a flag that is looked at after every step."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: flag.set())
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
