"""The local server: one for all processes on a folder, private, durable, never started twice."""

import asyncio
import fcntl
import os
import signal
import socket
import stat
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from redis.asyncio import Redis

from bot.conversation import Address, StoredTurn
from bot.history import History, HistoryError
from bot.valkey import LONGEST_SOCKET_PATH, LocalValkey, ValkeyError, local_valkey
from tests.bot.processes import talker


def pid_of(folder: Path) -> int:
    return int((folder / "valkey.pid").read_text())


def socket_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_free(folder: Path, name: str) -> bool:
    """Say whether nobody holds this lock of the folder."""
    with (folder / f"{name}.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def wait_until_free(folder: Path, name: str) -> None:
    until = time.monotonic() + 10
    while not is_free(folder, name):
        assert time.monotonic() < until
        time.sleep(0.01)


async def write(url: str, value: str) -> str | None:
    """Set a value; return the one before."""
    client = Redis.from_url(url, decode_responses=True)
    before = await client.set("x", value, get=True)
    await client.aclose()
    return before


async def test_it_is_private_durable_and_out_of_reach_of_ctrl_c(tmp_path: Path) -> None:
    async with local_valkey(tmp_path) as url:
        folder = tmp_path / "valkey"
        assert mode_of(socket_of(url)) == 0o700
        assert mode_of(folder) == 0o700
        client = Redis.from_url(url, decode_responses=True)
        settings = await client.config_get("port", "appendonly", "save", "tls-port")
        assert settings == {"port": "0", "appendonly": "yes", "save": "", "tls-port": "0"}
        await client.aclose()
        pid = pid_of(folder)
        assert os.getsid(pid) not in (os.getsid(0), os.getpid())
        assert os.getpgid(pid) != os.getpgid(0)
        assert "Ready to accept connections" in (folder / "valkey.log").read_text()
        assert mode_of(folder / "valkey.log") == 0o600


async def test_what_was_written_survives_a_stop_and_a_start(tmp_path: Path) -> None:
    async with local_valkey(tmp_path) as url:
        assert await write(url, "1") is None
    assert not (tmp_path / "valkey" / "valkey.sock").exists()
    async with local_valkey(tmp_path) as url:
        assert await write(url, "2") == "1"


async def test_two_share_one_server_and_the_last_to_leave_stops_it(tmp_path: Path) -> None:
    one, two = LocalValkey(tmp_path), LocalValkey(tmp_path)
    one.join()
    pid = pid_of(tmp_path)
    two.join()
    assert (one.url, pid) == (two.url, pid_of(tmp_path))
    one.leave()
    one.leave()
    assert await write(two.url, "1") is None
    two.leave()
    assert is_free(tmp_path, "server")
    assert not (tmp_path / "valkey.pid").exists()


def test_many_processes_at_once_start_one_server(tmp_path: Path) -> None:
    with talker(tmp_path) as one, talker(tmp_path) as two:
        pid = pid_of(tmp_path / "valkey")
        one.say("1")
        two.say("2")
        one.leave()
        assert pid_of(tmp_path / "valkey") == pid
        assert [text for _, text in two.say("3")] == ["1", "Heard 1.", "2", "Heard 2.", "3"]
        two.leave()
    assert is_free(tmp_path / "valkey", "server")
    assert (tmp_path / "valkey" / "valkey.log").read_text().count("Ready to accept") == 1


async def test_joining_at_the_same_moment_starts_one_server(tmp_path: Path) -> None:
    servers = [LocalValkey(tmp_path) for _ in range(6)]
    await asyncio.gather(*(asyncio.to_thread(server.join) for server in servers))
    assert (tmp_path / "valkey.log").read_text().count("Ready to accept") == 1
    await asyncio.gather(*(asyncio.to_thread(server.leave) for server in servers))
    assert is_free(tmp_path, "server")


async def test_whoever_comes_or_goes_waits_while_another_decides(tmp_path: Path) -> None:
    one, two = LocalValkey(tmp_path), LocalValkey(tmp_path)
    one.join()
    with (tmp_path / "start.lock").open("ab") as deciding:
        fcntl.flock(deciding, fcntl.LOCK_EX)
        moves = [asyncio.create_task(asyncio.to_thread(move)) for move in (one.leave, two.join)]
        _, waiting = await asyncio.wait(moves, timeout=0.1)
        assert waiting == set(moves)
    await asyncio.gather(*moves)
    assert not is_free(tmp_path, "server")
    two.leave()
    assert is_free(tmp_path, "server")


def test_the_server_of_a_killed_user_is_found_alive_and_stopped_by_the_next(tmp_path: Path) -> None:
    with talker(tmp_path) as killed:
        pid = pid_of(tmp_path / "valkey")
        killed.kill()
    with talker(tmp_path) as after:
        assert pid_of(tmp_path / "valkey") == pid
        after.leave()
    assert is_free(tmp_path / "valkey", "server")


async def test_a_server_that_hangs_keeps_nobody_from_leaving(tmp_path: Path) -> None:
    server = LocalValkey(tmp_path)
    server.join()
    os.kill(pid := pid_of(tmp_path), signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):  # what a whole shutdown may take
            await asyncio.to_thread(server.leave)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until_free(tmp_path, "server")  # it was told, and ends once it wakes up


async def test_the_stale_socket_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    server = LocalValkey(tmp_path)
    server.join()
    await write(server.url, "1")
    await asyncio.sleep(1.2)  # appendfsync everysec
    os.kill(pid_of(tmp_path), signal.SIGKILL)
    wait_until_free(tmp_path, "server")
    assert socket_of(server.url).exists()
    server.leave()
    server.join()
    assert await write(server.url, "2") == "1"
    server.leave()


A = Address("telegram", "1", "-100")
TURN = StoredTurn("user", "7", "Sam", "Hi", "11", "2026-01-02T03:04:05+00:00", "joey")


def kill_server(folder: Path) -> None:
    os.kill(pid_of(folder), signal.SIGKILL)
    wait_until_free(folder, "server")


def wait_until_started(folder: Path, times: int) -> None:
    """Wait until so many starts have been tried."""
    until = time.monotonic() + 10
    while (folder / "valkey.log").read_text().count("Server initialized") < times:
        assert time.monotonic() < until
        time.sleep(0.05)


async def remembered(history: History) -> list[StoredTurn]:
    """What is stored, once it can be reached."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await history.recent(A, "joey", 9)
            except HistoryError:
                await asyncio.sleep(0.05)


async def test_a_server_that_is_killed_is_started_again_for_those_who_use_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with local_valkey(tmp_path) as url, local_valkey(tmp_path):
        history = await History.connect(url)
        await history.append(A, "joey", TURN)
        await asyncio.sleep(1.2)  # appendfsync everysec
        for _ in range(2):
            kill_server(tmp_path / "valkey")
            assert await remembered(history) == [TURN]
        await history.choose(A, "joey")
        assert await history.persona(A) == "joey"
        await history.reset(A)
        assert await remembered(history) == []
        await history.aclose()
    assert is_free(tmp_path / "valkey", "server")
    assert "was started again" in caplog.text


async def test_a_server_that_cannot_start_again_is_tried_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.valkey.PAUSE_SECONDS", 0.1)
    folder = tmp_path / "valkey"
    async with local_valkey(tmp_path) as url:
        history = await History.connect(url)
        await history.append(A, "joey", TURN)
        await asyncio.sleep(1.2)  # appendfsync everysec
        (folder / "appendonlydir").rename(folder / "aside")
        (folder / "appendonlydir").touch()
        kill_server(folder)
        await asyncio.to_thread(wait_until_started, folder, 4)
        with (folder / "start.lock").open("ab") as lock:  # nobody starts between the two
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            (folder / "appendonlydir").unlink()
            (folder / "aside").rename(folder / "appendonlydir")
        assert await remembered(history) == [TURN]
        await history.aclose()
    assert caplog.text.count("can't be started again") == 1
    assert caplog.text.count("was started again") == 1


def test_whoever_has_left_starts_no_server(tmp_path: Path) -> None:
    server = LocalValkey(tmp_path)
    server.join()
    assert not server.revive()
    kill_server(tmp_path)
    server.leave()
    assert not server.revive()
    assert is_free(tmp_path, "server")


@pytest.mark.parametrize("seconds", [0, 0.01, 0.03, 0.1])
async def test_a_server_that_is_started_again_while_its_user_leaves_does_not_stay(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.valkey.CHECK_SECONDS", 0.001)
    async with local_valkey(tmp_path):
        os.kill(pid_of(tmp_path / "valkey"), signal.SIGKILL)
        await asyncio.sleep(seconds)
    await asyncio.sleep(0.3)  # as long as a start takes
    assert is_free(tmp_path / "valkey", "server")


async def test_a_path_too_long_for_a_socket_goes_to_a_private_temporary_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * LONGEST_SOCKET_PATH)
    one, two = LocalValkey(folder), LocalValkey(folder)
    one.join()
    two.join()
    path = socket_of(one.url)
    assert socket_of(two.url) == path
    assert path.parent.parent == Path(tempfile.gettempdir())
    assert mode_of(path.parent) == 0o700
    assert await write(one.url, "1") is None
    one.leave()
    two.leave()
    path.parent.chmod(0o755)
    with pytest.raises(ValkeyError, match=r"isn't private to you"):
        one.join()
    path.parent.rmdir()


async def test_a_path_may_hold_anything(tmp_path: Path) -> None:
    async with local_valkey(tmp_path / "a b #1?é\"'") as url:
        assert await write(url, "1") is None


def test_a_folder_that_cannot_be_used_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValkeyError, match=r"^The local Valkey server can't use the folder [^\n]+: Not a directory\.$"):
        LocalValkey(tmp_path / "file" / "valkey").join()


def test_a_server_that_cannot_start_is_said_in_one_sentence_and_leaves_nothing_held(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").touch()
    server = LocalValkey(tmp_path)
    with pytest.raises(ValkeyError, match=r"^The local Valkey server didn't start; [^\n]+valkey\.log says why\.$"):
        server.join()
    assert all(is_free(tmp_path, name) for name in ("start", "users", "server"))
    (tmp_path / "appendonlydir").unlink()
    server.join()
    server.leave()


async def test_a_start_that_is_cancelled_leaves_no_server_behind(tmp_path: Path) -> None:
    async def use() -> None:
        async with local_valkey(tmp_path):
            pytest.fail("was to be cancelled before")

    using = asyncio.create_task(use())
    await asyncio.sleep(0.01)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert is_free(tmp_path / "valkey", "server")


def test_no_tcp_port_is_open(tmp_path: Path) -> None:
    server = LocalValkey(tmp_path)
    server.join()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_of(server.url)))
        connection.sendall(b"INFO server\r\n")
        told = connection.recv(65536).decode()
    server.leave()
    assert "tcp_port:0" in told
    assert "unix,bind=" in told
    assert "tcp,bind=" not in told
