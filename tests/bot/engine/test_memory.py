"""Giving freed memory back, on a real heap."""

import platform

import psutil
import pytest

from bot.engine.memory import Tidier, give_back_freed_memory

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to")


@glibc
def test_freed_memory_leaves_the_process() -> None:
    process = psutil.Process()
    pieces = [bytes(60_000) for _ in range(4000)]  # below glibc's threshold for pages of their own
    held = process.memory_info().rss
    last = pieces.pop()  # keeps the heap's end in use
    pieces.clear()
    give_back_freed_memory()
    assert held - process.memory_info().rss > 150_000_000
    assert len(last) == 60_000


def test_it_is_done_once_in_a_while() -> None:
    moments = iter([0.0, 10.0, 29.0, 30.0, 30.1, 31.0, 59.0, 60.5, 61.0])
    tidier = Tidier(30, lambda: next(moments))
    assert [tidier.tidy() for _ in range(6)] == [False, False, True, False, False, True]
