"""Fixtures for everybody: a real Valkey server on a Unix socket, emptied before each test."""

import socket
from collections.abc import AsyncIterator, Iterator
from urllib.parse import unquote, urlsplit

import pytest

from bot.history import History
from bot.valkey import LocalValkey


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server for the whole run; most tests want `valkey_url`."""
    server = LocalValkey(tmp_path_factory.mktemp("valkey"))
    server.join()
    try:
        yield server.url
    finally:
        server.leave()


@pytest.fixture
def valkey_url(valkey_server: str) -> str:
    """The address of a server that holds nothing."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(unquote(urlsplit(valkey_server).path))
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(64) == b"+OK\r\n"
    return valkey_server


@pytest.fixture
async def history(valkey_url: str) -> AsyncIterator[History]:
    """A history on the emptied server."""
    history = await History.connect(valkey_url)
    yield history
    await history.aclose()
