"""The HTTP of a remote engine, against a real server that fails in every way it can."""

import asyncio
import io
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from bot import logs
from bot.engine.completions import ATTEMPTS, CompletionsClient, RefusedError, Server, UnreachableError
from bot.engine.protocol import Busy, EngineError
from tests.bot.engine.completions_server import CompletionsServer, Manners, failing, hanging, hanging_up, saying

KEY = "sk-do-not-show-this-anywhere"
SAID = "what nobody else should read"
BODY = {"prompt": SAID, "max_tokens": 1, "temperature": 0, "top_p": 1}
FINE = saying('{"choices": [{"text": "Hey!", "index": 0, "finish_reason": "stop"}]}', "application/json")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[CompletionsServer]:
    """A server that answers from its list of faults only."""
    async with CompletionsServer(None, Manners(key=KEY)) as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture
async def client(server: CompletionsServer) -> AsyncIterator[CompletionsClient]:
    client = CompletionsClient(Server(server.url, key=KEY, seconds=5))
    yield client
    await client.aclose()


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_an_address_may_end_in_v1_or_not(path):
    assert Server(f"http://localhost:8000{path}").root == "http://localhost:8000"


def test_an_address_is_shown_without_a_login():
    assert Server("https://somebody:secret@example.org:8000/v1?key=1").place == "https://example.org:8000"


@pytest.mark.parametrize("fault", [failing(502), failing(503), failing(504), failing(429), hanging_up])
async def test_what_passes_is_asked_again(server, client, fault):
    server.faults = [fault, fault, FINE]
    answer = await client.complete(BODY)
    assert [choice.text for choice in answer.choices] == ["Hey!"]
    assert server.asked == [BODY] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500, 501])
async def test_what_will_not_pass_is_asked_once(server, client, status):
    server.faults = [failing(status), FINE]
    with pytest.raises((RefusedError, UnreachableError)) as caught:
        await client.complete(BODY)
    assert caught.value.status == status
    assert len(server.asked) == 1


async def test_at_some_time_it_is_enough(server, client):
    server.faults = [failing(503)] * 9
    with pytest.raises(UnreachableError, match=r"cannot answer now \(503 error\)"):
        await client.complete(BODY)
    assert len(server.asked) == ATTEMPTS


async def test_a_server_that_is_full_is_busy(server, client):
    server.faults = [failing(429, Retry_After="0")] * 9
    with pytest.raises(Busy, match="too many requests"):
        await client.complete(BODY)
    assert len(server.asked) == ATTEMPTS


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_that_a_server_asks_for_is_kept(server, client, status):
    server.faults = [failing(status, Retry_After="1"), FINE]
    begun = time.monotonic()
    await client.complete(BODY)
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("pause", ["11", "Fri, 31 Dec 2999 23:59:59 GMT"])
async def test_nobody_waits_for_a_long_pause(server, client, pause):
    server.faults = [failing(429, Retry_After=pause), FINE]
    with pytest.raises(Busy):
        await client.complete(BODY)
    assert len(server.asked) == 1


@pytest.mark.parametrize("pause", ["soon", "-1", "Fri, 31 Dec 1999 23:59:59 GMT"])
async def test_a_pause_that_says_nothing_is_no_pause(server, client, pause):
    server.faults = [failing(429, Retry_After=pause), FINE]
    assert await client.complete(BODY)


async def test_a_server_that_hangs_is_not_waited_for_twice(server):
    client = CompletionsClient(Server(server.url, key=KEY, seconds=0.2))
    server.faults = [hanging] * 2
    with pytest.raises(UnreachableError, match=r"within 0.2 s \(ENGINE_SECONDS\)"):
        await client.complete(BODY)
    assert len(server.asked) == 1
    await client.aclose()


async def test_nobody_there():
    client = CompletionsClient(Server("http://127.0.0.1:9"))
    with pytest.raises(UnreachableError, match=r"http://127.0.0.1:9 is out of reach \(ConnectError\).*ENGINE_URL"):
        await client.complete(BODY)
    await client.aclose()


@pytest.mark.parametrize("text", ["<html>Welcome!</html>", "[]", "{}", '{"choices": []}', '{"choices": [{}]}', "\xff"])
async def test_something_else_answers(server, client, text):
    server.faults = [saying(text)]
    with pytest.raises(EngineError, match="not an OpenAI-compatible server"):
        await client.complete(BODY)


@pytest.mark.parametrize("url", ["http://[", "http://", "ftp://127.0.0.1", "http://no such host"])
async def test_an_address_that_is_none(url):
    with pytest.raises(EngineError, match="ENGINE_URL"):
        await CompletionsClient(Server(url)).complete(BODY)


async def test_a_server_that_moved_is_not_followed(server, client):
    server.faults = [failing(308, Location="http://127.0.0.1:9/v1/completions")]
    with pytest.raises(RefusedError, match=r"somewhere else \(308\): is ENGINE_URL right"):
        await client.complete(BODY)


async def test_a_model_that_loads_is_waited_for(server, client):
    server.loading = 3
    await client.wait_until_loaded()
    assert server.loading == 0


async def test_a_server_without_health_or_a_list_of_models_is_asked_all_the_same(server, client):
    server.manners.health = False
    await client.wait_until_loaded()
    bare = CompletionsClient(Server(server.url + "/elsewhere", key=KEY))
    assert await bare.models() == {}
    await bare.aclose()


async def test_no_key_and_a_wrong_key(server):
    for key, said in ((None, "asks for a key: set ENGINE_KEY"), ("wrong", "refuses the key in ENGINE_KEY")):
        client = CompletionsClient(Server(server.url, key=key))
        with pytest.raises(RefusedError, match=said):
            await client.models()
        await client.aclose()


async def guarded(client: CompletionsClient) -> None:
    async with client.guarded():
        await client.complete(BODY)


async def opened(server: CompletionsServer, client: CompletionsClient) -> None:
    """Let the server fail until nobody asks it any more."""
    server.faults = [failing(500)] * 5
    for _ in range(5):
        with pytest.raises(UnreachableError):
            await guarded(client)
    with pytest.raises(EngineError, match="did not answer lately; it is tried again in 10 s"):
        await guarded(client)
    assert len(server.asked) == 5


async def test_after_five_failures_the_server_is_left_alone_for_a_while(server):
    clock = Clock()
    client = CompletionsClient(Server(server.url, key=KEY), clock)
    await opened(server, client)
    clock.now += 10.1
    server.faults = [FINE] * 3
    await guarded(client)
    await asyncio.gather(guarded(client), guarded(client))
    await client.aclose()


async def test_one_request_tries_whether_the_server_is_back(server):
    clock = Clock()
    client = CompletionsClient(Server(server.url, key=KEY), clock)
    await opened(server, client)
    clock.now += 10.1
    server.faults = [hanging, FINE]
    trying = asyncio.create_task(guarded(client))
    await asyncio.sleep(0.1)
    with pytest.raises(EngineError, match="tried again now"):
        await guarded(client)
    trying.cancel()  # says nothing of the server
    with suppress(asyncio.CancelledError):
        await trying
    await guarded(client)
    await client.aclose()


async def test_refusals_and_a_full_server_are_no_failures(server, client):
    server.faults = [*[failing(400)] * 10, *[failing(429, Retry_After="99")] * 10, FINE]
    for _ in range(20):
        with pytest.raises((RefusedError, Busy)):
            await guarded(client)
    await guarded(client)


@pytest.mark.parametrize(
    "fault", [failing(401), failing(400), failing(429), failing(500), failing(503), hanging_up, saying(f"no {KEY}")]
)
async def test_neither_the_key_nor_what_was_said_is_ever_shown(server, client, fault):
    stream = io.StringIO()
    logs.set_up("DEBUG", stream=stream)
    server.faults = [fault] * ATTEMPTS
    with pytest.raises(EngineError) as caught:
        await client.complete(BODY)
    logs.logger("engine").warning("failed", exc_info=caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + stream.getvalue() + repr(Server(server.url, key=KEY))
    assert KEY not in shown
    assert SAID not in shown
    assert "\n" not in str(caught.value)
