"""Uploading against a small server that plays the hub's endpoints, and against nobody."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from training.hub import HubError, check_name, push

ROOT = Path(__file__).parents[2]
TOKEN = "hf_not_a_real_token"


class Hub(ThreadingHTTPServer):
    """Knows one owner; `files` are what was committed, `answer` a status to refuse everything with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Endpoints)
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.asked: list[str] = []
        self.private = False
        self.answer = 0
        self.address = f"http://127.0.0.1:{self.server_port}"


class Endpoints(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply({"id": "ann/joey", "private": self.server.private, "siblings": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub, path = self.server, self.path
        if path == "/api/repos/create":
            hub.private = hub.private or "private" in json.loads(body).values()
            self.reply({"url": f"{hub.address}/ann/joey"})
        elif path == "/api/validate-yaml":
            self.reply({"errors": [], "warnings": []})
        elif path.startswith("/api/models/ann/joey/preupload/"):
            asked = json.loads(body)["files"]
            told = {"uploadMode": "regular", "shouldIgnore": False}
            self.reply({"files": [told | {"path": one["path"]} for one in asked]})
        elif path.startswith("/api/models/ann/joey/commit/"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    hub.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.reply({"commitUrl": f"{hub.address}/ann/joey/commit/1", "commitOid": "1"})
        else:
            self.reply({"error": "no such place"}, 404)

    def reply(self, content: Any, status: int = 200) -> None:
        self.server.tokens.add(self.headers.get("Authorization"))
        self.server.asked.append(self.path)
        text = json.dumps(content).encode()
        self.send_response(self.server.answer or status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "README.md").write_text("---\nlicense: mit\n---\n# Joey\n")
    (made / "model.safetensors").write_bytes(b"\x00\x01weights")
    return made


def test_a_folder_is_uploaded_as_it_is_with_the_hubs_own_token(hub: Hub, folder: Path) -> None:
    assert push(folder, "ann/joey", endpoint=hub.address) == f"{hub.address}/ann/joey"
    assert hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert not hub.private


def test_private_is_kept_and_never_given_to_a_public_repository(hub: Hub, folder: Path) -> None:
    push(folder, "ann/joey", private=True, endpoint=hub.address)
    assert hub.private
    assert hub.files


def test_a_public_repository_gets_nothing_private(hub: Hub, folder: Path) -> None:
    class Forgetful(Endpoints):
        def do_GET(self) -> None:
            self.reply({"id": "ann/joey", "private": False, "siblings": []})

    hub.RequestHandlerClass = Forgetful
    with pytest.raises(HubError, match="ann/joey is there already and public"):
        push(folder, "ann/joey", private=True, endpoint=hub.address)
    assert hub.files == {}


@pytest.mark.parametrize(("status", "sentence"), [(401, "hf auth login"), (403, "may not write to ann/joey"),
                                                  (418, "the hub answered 418 for ann/joey")])  # fmt: skip
def test_a_refusal_is_one_sentence_without_the_token(hub: Hub, folder: Path, status: int, sentence: str) -> None:
    hub.answer = status
    with pytest.raises(HubError, match=sentence) as refused:
        push(folder, "ann/joey", endpoint=hub.address)
    assert TOKEN not in str(refused.value)
    assert f"'hf upload ann/joey {folder}' tries again" in str(refused.value)


def test_a_hub_that_cannot_be_reached_is_said(folder: Path) -> None:
    with pytest.raises(HubError, match=r"pushing ann/joey to the hub failed \(ConnectError\): check the network"):
        push(folder, "ann/joey", endpoint="http://127.0.0.1:9")


def test_a_hub_that_is_switched_off_is_said(folder: Path) -> None:
    program = "import sys, pathlib; from training.hub import push; push(pathlib.Path(sys.argv[1]), 'ann/joey')"
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder)}  # read once, where the hub's client is imported
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], check=False, capture_output=True, text=True, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    assert "HubError: the hub is switched off by HF_HUB_OFFLINE: unset it to push" in done.stderr


@pytest.mark.parametrize("repo", ["joey", "/joey", "ann/", "ann/jo/ey", "ann/jo ey", "ann/../joey", ""])
def test_what_is_no_name_is_refused(repo: str) -> None:
    with pytest.raises(HubError, match="give OWNER/NAME"):
        check_name(repo)
