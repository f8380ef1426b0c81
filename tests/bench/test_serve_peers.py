"""Other people's servers, here a real HTTP server with their manners."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from bench.serve.conversations import talks
from bench.serve.parties import Said, Voice
from bench.serve.peers import LLAMA, PeerError, Server, servers
from bench.serve.toy import toy_checkpoint
from bot.engine.checkpoints import load_checkpoint
from bot.engine.protocol import Sampling
from persona.characters import find_persona, friends

TURNS = next(talks("Joey Tribbiani", 2)).turns()


class Handler(BaseHTTPRequestHandler):
    """Answers like a completions server; `refuses` prompts of that type."""

    asked: ClassVar[list[dict]] = []
    refuses: ClassVar[type] = type(None)
    answer: ClassVar[dict] = {}

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "merged"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        refused = isinstance(body["prompt"], self.refuses)
        self._send(422 if refused else 200, {} if refused else self.answer)

    def _send(self, status: int, content: dict) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def handler() -> type[Handler]:
    answer = {"choices": [{"text": " Hi.\nAnn\nHello"}], "usage": {"completion_tokens": 28}}
    return type("Mannered", (Handler,), {"asked": [], "answer": answer})


@pytest.fixture
def url(handler: type[Handler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/"
        server.shutdown()
        thread.join()


@pytest.fixture
def voice(tmp_path: Path) -> Voice:
    screenplay = load_checkpoint(toy_checkpoint(tmp_path), cache=tmp_path).screenplay
    return Voice(find_persona("joey", friends()), screenplay, Sampling(0.7, 0.8))


async def test_ids_go_out_and_the_first_line_comes_back(url, handler, voice) -> None:
    [peer] = servers(url, None, voice)
    assert peer.name == LLAMA
    assert await peer.reply(TURNS, 30) == Said("Hi.", 28)
    [asked] = handler.asked
    assert asked["prompt"] == voice.screenplay.prompt(TURNS, "Joey Tribbiani", 1000)
    assert (asked["model"], asked["max_tokens"], asked["temperature"], asked["top_p"]) == ("merged", 30, 0.7, 0.8)
    assert asked["ignore_eos"] is True
    assert asked["logit_bias"][str(voice.screenplay.end_id)] == -100


async def test_a_server_that_refuses_ids_gets_the_same_prompt_as_text(url, handler, voice) -> None:
    handler.refuses = list
    [peer] = servers(None, url, voice)
    for _ in range(2):
        await peer.reply(TURNS, 30)
    first, second, third = (asked["prompt"] for asked in handler.asked)
    assert isinstance(first, list)
    assert second == third
    assert second.endswith("<|im_start|>Joey Tribbiani\n")
    assert voice.screenplay.tokenizer.wrapped.encode(second, add_special_tokens=False) == first


async def test_what_goes_wrong_is_a_sentence(url, handler, voice) -> None:
    peer = Server("it", url, voice, {})
    handler.answer = {"error": "no"}
    with pytest.raises(PeerError, match="not OpenAI's"):
        await peer.reply(TURNS, 30)
    handler.refuses = object
    with pytest.raises(PeerError, match="answered 422"):
        await peer.reply(TURNS, 30)
    away = Server("it", "http://127.0.0.1:9", voice, {})
    with pytest.raises(PeerError, match="cannot be reached"):
        await away.reply(TURNS, 30)
