"""Redis itself: keys, expiry, fields of other versions, faults. The contract is in test_conversation."""

import asyncio
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot import history_scripts
from bot.conversation import Address, StoredTurn
from bot.history import PERMISSIONS, History, HistoryError
from bot.valkey import LocalValkey, _binary, local_valkey
from tests.bot.processes import talker

A = Address("telegram", "1", "-100", "5")
KEY = "echochamber:v1:telegram:1:-100:5"
TURN = StoredTurn("user", "7", "Sam", "Hi", "11", "2026-01-02T03:04:05+00:00", "joey")


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_url, decode_responses=True)
    yield client
    await client.aclose()


async def test_keys_and_turns_are_laid_out_as_documented(history: History, redis: Redis) -> None:
    await history.append(A, "joey", TURN)
    await history.choose(A, "joey")
    await history.set_filter_level(A, "strict")
    await history.first_time(A, "11")
    index = "echochamber:v1:telegram:1:conversations"
    assert set(await redis.keys()) == {
        f"{KEY}:history:joey",
        f"{KEY}:personas",
        f"{KEY}:persona",
        f"{KEY}:seen:11",
        "echochamber:v1:telegram:1:-100:0:filter",
        index,
    }
    assert json.loads(await redis.lindex(f"{KEY}:history:joey", 0)) == {
        "role": "user",
        "author_id": "7",
        "name": "Sam",
        "text": "Hi",
        "message_id": "11",
        "at": "2026-01-02T03:04:05+00:00",
        "persona": "joey",
        "model": None,
        "answers": None,
    }
    assert await redis.zrange(index, 0, -1) == ["-100:0", "-100:5"]


async def test_everything_expires_and_speaking_renews_it(valkey_url: str, redis: Redis) -> None:
    history = await History.connect(valkey_url, days=2)
    await history.append(A, "joey", TURN)
    await history.choose(A, "joey")
    await history.set_filter_level(A, "strict")
    await history.first_time(A, "11")
    keys = await redis.keys()
    assert len(keys) == 6
    for key in keys:
        assert 2 * 86400 - 60 < await redis.ttl(key) <= 2 * 86400
        await redis.expire(key, 100)
    await history.append(A, "joey", replace(TURN, message_id="12"))
    renewed = {key for key in keys if await redis.ttl(key) > 2 * 86400 - 60}
    assert renewed == set(keys) - {f"{KEY}:seen:11"}
    await history.aclose()


async def test_fewer_days_hide_no_turn_from_forget(history: History, valkey_url: str, redis: Redis) -> None:
    await history.append(A, "joey", TURN)
    shorter = await History.connect(valkey_url, days=1)
    await shorter.append(A, "monica", replace(TURN, author_id="8"))
    await shorter.choose(A, "monica")
    assert await redis.ttl(f"{KEY}:history:monica") <= 86400
    for leading in (f"{KEY}:personas", "echochamber:v1:telegram:1:conversations"):
        assert await redis.ttl(leading) >= await redis.ttl(f"{KEY}:history:joey") - 1
    assert await redis.zscore("echochamber:v1:telegram:1:conversations", "-100:5") == await redis.expiretime(
        f"{KEY}:history:joey"
    )
    await shorter.aclose()


async def test_migration_keeps_the_expiry(history: History, redis: Redis) -> None:
    await history.append(A, "joey", TURN)
    await history.choose(A, "joey")
    await history.migrate(A, replace(A, chat="-200"))
    moved = "echochamber:v1:telegram:1:-200:5"
    assert set(await redis.keys("*:5:*")) == {f"{moved}:history:joey", f"{moved}:personas", f"{moved}:persona"}
    for key in await redis.keys():
        assert 30 * 86400 - 60 < await redis.ttl(key) <= 30 * 86400


async def test_a_filter_moves_even_when_its_thread_has_left_the_index(history: History, redis: Redis) -> None:
    await history.set_filter_level(A, "strict")
    await redis.zadd("echochamber:v1:telegram:1:conversations", {"-100:0": 1})
    await history.append(A, "joey", TURN)
    await history.migrate(A, replace(A, chat="-200"))
    assert await history.filter_level(replace(A, chat="-200")) == "strict"
    assert 30 * 86400 - 60 < await redis.ttl("echochamber:v1:telegram:1:-200:0:filter") <= 30 * 86400


async def test_conversations_that_expired_leave_the_index(history: History, redis: Redis) -> None:
    await redis.zadd("echochamber:v1:telegram:1:conversations", {"-9:0": 1})
    await history.append(A, "joey", TURN)
    assert await redis.zrange("echochamber:v1:telegram:1:conversations", 0, -1) == ["-100:5"]


async def test_unknown_fields_of_others_stay_when_turns_go_or_move(history: History, redis: Redis) -> None:
    other = {**replace(TURN, author_id="8", message_id="12").to_mapping(), "mood": {"deep": [], "big": 2**60}}
    await history.append(A, "joey", TURN)
    await redis.rpush(f"{KEY}:history:joey", json.dumps(other))
    assert await history.forget("telegram", "1", "7") == 1
    await history.migrate(A, replace(A, chat="-200"))
    kept = await redis.lrange("echochamber:v1:telegram:1:-200:5:history:joey", 0, -1)
    assert [json.loads(one) for one in kept] == [other]
    assert (await history.recent(replace(A, chat="-200"), "joey", 9))[0].extra == {"mood": other["mood"]}


async def test_what_is_not_a_turn_is_left_out(history: History, redis: Redis) -> None:
    await history.append(A, "joey", TURN)
    await redis.rpush(f"{KEY}:history:joey", "no json", "[]", '{"role": "user"}')
    assert await history.recent(A, "joey", 9) == [TURN]
    assert await history.forget("telegram", "1", "7") == 1


async def test_a_command_sent_twice_happens_once(history: History) -> None:
    await history.append(A, "joey", TURN, TURN)
    await history.append(A, "joey", TURN)
    assert await history.recent(A, "joey", 9) == [TURN]


async def test_many_at_once_lose_nothing(history: History, valkey_url: str) -> None:
    other = await History.connect(valkey_url)
    turns = [replace(TURN, message_id=str(number)) for number in range(60)]
    firsts = await asyncio.gather(*(one.first_time(A, "x") for one in (history, other) * 20))
    await asyncio.gather(
        *((history, other)[number % 2].append(A, "joey", turn) for number, turn in enumerate(turns)),
        history.forget("telegram", "1", "nobody"),
    )
    assert sum(firsts) == 1
    kept = {turn.message_id for turn in await history.recent(A, "joey", 99)}
    assert kept == {str(number) for number in range(60)}
    await other.aclose()


async def test_more_at_once_than_there_are_connections_wait(history: History) -> None:
    await asyncio.gather(*(history.append(A, "joey", replace(TURN, message_id=str(number))) for number in range(150)))
    assert len(await history.recent(A, "joey", 999)) == 150


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://:hunter2@127.0.0.1:1/0", "Redis at redis://127.0.0.1:1/0 cannot be reached."),
        ("unix://sam:hunter2@/nowhere/at/all.sock", "Redis at unix:///nowhere/at/all.sock cannot be reached."),
        ("unix:///nowhere.sock?password=hunter2", "Redis at unix:///nowhere.sock cannot be reached."),
        ("http://:hunter2@127.0.0.1", "The Redis address isn't one"),
        ("redis://h:hunter2", "The Redis address isn't one"),
        ("", "The Redis address isn't one"),
        ("redis://:hunter2@127.0.0.1:1/0?no_such_option=1", "The Redis address isn't one"),
        ("rediss://:hunter2@127.0.0.1:1?ssl_cert_reqs=wrong", "Redis at rediss://127.0.0.1:1 cannot be reached."),
    ],
)
async def test_connecting_fails_in_one_sentence_without_the_password(url: str, sentence: str) -> None:
    with pytest.raises(HistoryError) as caught:
        await History.connect(url)
    assert str(caught.value).startswith(sentence)
    assert "hunter2" not in str(caught.value)


async def test_a_refused_login_is_said(tmp_path: Path) -> None:
    async with local_valkey(tmp_path) as url:
        client = Redis.from_url(url)
        await client.config_set("requirepass", "right")
        with pytest.raises(HistoryError, match=r"^Redis at unix://\S+ refuses the login\.$"):
            await History.connect(url)
        with pytest.raises(HistoryError, match=r"refuses the login\.$") as caught:
            await History.connect(f"{url}?password=wrong")
        assert "wrong" not in str(caught.value)
        history = await History.connect(f"{url}?password=right")
        await history.aclose()
        await client.config_set("requirepass", "")
        await client.aclose()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("REPLICAOF 127.0.0.1 1", r"is a replica and stores nothing; point REDIS_URL at its primary\."),
        ("ACL SETUSER default -zadd", r"doesn't allow .*\(ZADD: .* 'zadd' command\); .*\+@write.*ACL SETUSER\."),
        ("ACL SETUSER default -set", r"doesn't allow .*\(SET: .* 'set' command\); .*ACL SETUSER\."),
        ("ACL SETUSER default -del", r"doesn't allow .*\(DEL: .* 'del' command\); .*ACL SETUSER\."),
        ("ACL SETUSER default -evalsha", r"doesn't allow .*'evalsha' command\); .*\+@scripting.*ACL SETUSER\."),
        ("ACL SETUSER default -script", r"doesn't allow .*'script\|load' command\); .*\+@scripting.*ACL SETUSER\."),
        ("ACL SETUSER default -multi", r"doesn't allow .*\(EXEC without MULTI\); .*\+@transaction.*ACL SETUSER\."),
        ("ACL SETUSER default resetkeys ~a:*", r"doesn't allow .*access a key\); .*~echochamber:v1:\*.*ACL SETUSER\."),
        ("CONFIG SET maxmemory 1", r"can't keep conversations \(ZADD: OOM command not allowed .*'maxmemory'\)\."),
    ],
)
async def test_a_server_that_would_store_nothing_is_said_at_the_start(setting: str, said: str, tmp_path: Path) -> None:
    async with local_valkey(tmp_path) as url, Redis.from_url(url, decode_responses=True) as client:
        await client.execute_command(*setting.split())
        with pytest.raises(HistoryError, match=rf"^Redis at unix://\S+ {said}$"):
            await History.connect(url)
        for key in await client.keys():
            assert 0 < await client.ttl(key) <= 60


async def test_a_user_with_the_permissions_that_are_asked_for_can_do_everything(valkey_url: str, redis: Redis) -> None:
    await redis.execute_command("ACL", "SETUSER", "sam", "on", ">right", *PERMISSIONS.split())
    history = await History.connect(f"{valkey_url}?username=sam&password=right")
    await history.append(A, "joey", TURN)
    await history.choose(A, "joey")
    await history.set_filter_level(A, "strict")
    assert await history.first_time(A, "11")
    moved = replace(A, chat="-200")
    await history.migrate(A, moved)
    assert await history.recent(moved, "joey", 9) == [TURN]
    assert (await history.persona(moved), await history.filter_level(moved)) == ("joey", "strict")
    assert await history.forget("telegram", "1", "7") == 1
    await history.reset(moved)
    await history.aclose()
    await redis.execute_command("ACL", "DELUSER", "sam")


def test_the_start_tries_every_command_of_the_scripts() -> None:
    scripts = [text for name, text in vars(history_scripts).items() if name.isupper()]
    used = {command for text in scripts for command in re.findall(r"redis\.call\('(\w+)'", text)}
    assert used
    assert used | {"GET", "LRANGE", "LREM", "SMEMBERS", "ZRANGE"} <= set(
        re.findall(r"{'(\w+)', KEYS", history_scripts.TRY)
    )


@contextmanager
def renaming(folder: Path, **names: str) -> Iterator[str]:
    """A server on which these commands bear other names, or none."""
    options = [word for name, other in names.items() for word in ("--rename-command", name, other)]
    where = folder / "v.sock"
    command = [str(_binary()), "--port", "0", "--unixsocket", str(where), "--dir", str(folder), "--save", "", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 30
            while not where.exists():
                assert time.monotonic() < until
                time.sleep(0.01)
            yield f"unix://{where}"
        finally:
            server.kill()


async def test_a_server_that_is_too_old_is_said_at_the_start_and_stores_no_half(tmp_path: Path) -> None:
    # GETEX answers "ZADD key GT ..." as Redis did before 6.2: "syntax error".
    with renaming(tmp_path, ZADD="ZADD_", GETEX="ZADD") as url:
        with pytest.raises(HistoryError, match=r"^Redis at unix://\S+ .*\(ZADD: ERR syntax error\); .*Redis 6\.2"):
            await History.connect(url)
        client = Redis.from_url(url, decode_responses=True)
        history = History(client)
        for storing in (
            history.append(A, "joey", TURN),
            history.choose(A, "joey"),
            history.set_filter_level(A, "strict"),
        ):
            with pytest.raises(HistoryError, match=r"^I can't reach my memory"):
                await storing
        assert await client.keys() == []
        await client.execute_command("ZADD_", "echochamber:v1:telegram:1:conversations", 2e9, "-100:5")
        await client.rpush(f"{KEY}:history:joey", "old")
        await client.set("echochamber:v1:telegram:1:-100:0:filter", "strict")
        before = set(await client.keys())
        with pytest.raises(HistoryError, match=r"^I can't reach my memory"):
            await history.migrate(A, replace(A, chat="-200"))
        assert set(await client.keys()) == before
        await history.aclose()


@pytest.mark.parametrize("command", ["LPOS", "EVALSHA"])
async def test_a_command_that_was_taken_away_is_said_at_the_start(command: str, tmp_path: Path) -> None:
    said = rf"^Redis at unix://\S+ .*{command}.*; .*Redis 6\.2 .*Valkey"
    with renaming(tmp_path, **{command: ""}) as url, pytest.raises(HistoryError, match=said):
        await History.connect(url)


async def test_a_server_that_does_not_know_the_greeting_is_not_quoted_on_the_password(tmp_path: Path) -> None:
    # What isn't known is repeated: "unknown command 'HELLO', with args beginning with: '3' 'AUTH' ... 'hunter2'".
    with renaming(tmp_path, HELLO="") as url:
        with pytest.raises(HistoryError, match=r"HELLO.*; .*Redis 6\.2") as caught:
            await History.connect(f"{url}?password=hunter2")
        assert "hunter2" not in str(caught.value)


async def test_a_history_comes_back_when_its_server_does(tmp_path: Path) -> None:
    server = LocalValkey(tmp_path / "v")
    server.join()
    history = await History.connect(server.url)
    await history.append(A, "joey", TURN)
    server.leave()
    for call in (
        history.recent(A, "joey", 9),
        history.append(A, "joey", TURN),
        history.first_time(A, "1"),
        history.persona(A),
        history.choose(A, "joey"),
        history.reset(A),
        history.forget("telegram", "1", "7"),
        history.migrate(A, replace(A, chat="2")),
    ):
        with pytest.raises(HistoryError, match=r"^I can't reach my memory right now"):
            await call
    server.join()
    assert await history.recent(A, "joey", 9) == [TURN]
    await history.aclose()
    server.leave()


def test_two_processes_see_each_others_turns(valkey_url: str) -> None:
    with talker(valkey_url) as one, talker(valkey_url) as two:
        assert one.say("first") == [["Sam", "first"]]
        assert two.say("second")[:-1] == [["Sam", "first"], ["Joey Tribbiani", "Heard first."]]
        assert [text for _, text in one.say("third")] == ["first", "Heard first.", "second", "Heard second.", "third"]
        one.leave()
        two.leave()


@pytest.mark.parametrize("end", ["leave", "kill"])
def test_a_new_process_knows_the_earlier_turns(tmp_path: Path, end: str) -> None:
    with talker(tmp_path) as before:
        before.say("first")
        server = (tmp_path / "valkey" / "valkey.pid").read_text()
        getattr(before, end)()
    with talker(tmp_path) as after:
        # SIGKILL leaves the server behind, and the next process finds it alive.
        assert ((tmp_path / "valkey" / "valkey.pid").read_text() == server) is (end == "kill")
        assert [text for _, text in after.say("second")] == ["first", "Heard first.", "second"]
        after.leave()
    assert not (tmp_path / "valkey" / "valkey.pid").exists()
