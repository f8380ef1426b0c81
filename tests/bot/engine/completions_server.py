"""A small OpenAI-compatible server around a toy model. What it understands and how it fails can be switched."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from aiohttp import web

from bot.engine.checkpoints import LoadedCheckpoint

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]

VLLM = frozenset({"stop", "stop_token_ids", "top_k", "min_p", "repetition_penalty"}) | frozenset(
    {"skip_special_tokens", "add_special_tokens", "return_token_ids"}
)


@dataclass
class Manners:
    """What a server understands: like vLLM, unless told otherwise.

    `fields` are those it honours beyond OpenAI's own; others are ignored, or refused where `strict`.
    `n` is the largest it grants. `logprobs` are OpenAI's lists or llama.cpp's objects. `bos` tokens
    are put in front of a text. `echo` may be "ignored", and `ids` "misread" as a text. Candidates are
    all `alike` where one seed makes them all.
    """

    ids: bool | str = True
    fields: frozenset[str] = VLLM
    strict: bool = False
    n: int = 8
    logprobs: str | None = "lists"
    echo: bool | str = True
    usage: bool = True
    health: bool = True
    bos: int = 0
    alike: bool = False
    key: str | None = None
    models: tuple[str, ...] = ("toy",)


OWN = {"model", "prompt", "max_tokens", "temperature", "top_p", "n", "seed", "logprobs", "echo"}


@dataclass
class CompletionsServer:
    """Serves `pupil` on a port of its own while it is open.

    `asked` holds the bodies in order; `given_up` counts requests whose client left before the answer.
    Each of `faults` answers one completion instead of the model; `held` keeps all of them waiting.
    """

    pupil: LoadedCheckpoint
    manners: Manners = field(default_factory=Manners)
    asked: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    held: Callable[[], Any] | None = None
    given_up: int = 0
    loading: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until requests came, or were given up, as described."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(happened)

    async def __aenter__(self) -> "CompletionsServer":
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._completions)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        if self.loading:
            self.loading -= 1
            return error(503, "loading_model")
        return web.Response() if self.manners.health else error(404)

    async def _models(self, request: web.Request) -> web.Response:
        if refused := self._unknown(request):
            return refused
        models = [{"id": name, "object": "model", "max_model_len": 128} for name in self.manners.models]
        return web.json_response({"object": "list", "data": models})

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        if refused := self._unknown(request):
            return refused
        body = await request.json()
        async with self._changed:
            self.asked.append(body)
            self._changed.notify_all()
        try:
            return await self._answered(request, body)
        except asyncio.CancelledError:
            async with self._changed:
                self.given_up += 1
                self._changed.notify_all()
            raise

    async def _answered(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if self.faults:
            return await self.faults.pop(0)(request)
        if self.held:
            await asyncio.to_thread(self.held)
        return self._refusal(body) or web.json_response(self._answer(body))

    def _unknown(self, request: web.Request) -> web.Response | None:
        if self.manners.key and request.headers.get("Authorization") != f"Bearer {self.manners.key}":
            return error(401, "invalid_api_key", request.headers.get("Authorization", "no key"))
        return None

    def _refusal(self, body: dict[str, Any]) -> web.Response | None:
        manners = self.manners
        if body.get("model", manners.models[0]) not in manners.models:
            return error(404, "NotFoundError")
        if manners.strict and (unknown := set(body) - OWN - manners.fields):
            return error(422, "invalid", f"unexpected {unknown} in {body['prompt']}")
        if isinstance(body["prompt"], list) and not manners.ids:
            return error(400, "invalid_type", str(body["prompt"]))
        if body.get("n", 1) > manners.n > 1 or (body.get("echo") and not manners.echo):
            return error(400, "unsupported")
        return None

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = self._ids(body["prompt"])
        seed = body.get("seed")
        choices = [
            self._choice(body, prompt, index, None if seed is None else seed + index * (not self.manners.alike))
            for index in range(min(body.get("n", 1), self.manners.n))
        ]
        made = sum(choice.pop("made") for choice in choices)
        usage = {"prompt_tokens": len(prompt), "completion_tokens": made} if self.manners.usage else None
        return {"object": "text_completion", "model": self.manners.models[0], "choices": choices, "usage": usage}

    def _ids(self, prompt: str | list[int]) -> list[int]:
        if self.manners.ids == "misread":
            prompt = str(prompt)
        if isinstance(prompt, list):
            return prompt
        tokenizer = self.pupil.tokenizer.wrapped
        return [self.pupil.screenplay.end_id] * self.manners.bos + tokenizer.encode(prompt, add_special_tokens=False)

    def _choice(self, body: dict[str, Any], prompt: list[int], index: int, seed: int | None) -> dict[str, Any]:
        told = {name: value for name, value in body.items() if name in OWN or name in self.manners.fields}
        ids, logprobs, stopped = self._decode(told, prompt, seed)
        tokenizer = self.pupil.tokenizer.wrapped
        said = ids[:-1] if stopped else ids
        text = tokenizer.decode(said, skip_special_tokens=told.get("skip_special_tokens", True))
        choice: dict[str, Any] = {"index": index, "text": text, "finish_reason": "stop" if stopped else "length"}
        if told.get("return_token_ids"):
            choice["token_ids"] = ids
        if told.get("logprobs") and self.manners.logprobs:
            echoed = prompt if told.get("echo") and self.manners.echo is True else []
            before = [None, *self._logprobs(prompt)] if echoed else []
            choice["logprobs"] = self._told([*echoed, *ids], [*before, *logprobs])
        return choice | {"made": len(ids)}

    def _told(self, ids: list[int], logprobs: list[float | None]) -> dict[str, Any]:
        tokens = [self.pupil.tokenizer.wrapped.decode([one]) for one in ids]
        if self.manners.logprobs == "objects":
            names = ("id", "token", "logprob")
            return {"content": [dict(zip(names, one, strict=True)) for one in zip(ids, tokens, logprobs, strict=True)]}
        return {"tokens": tokens, "token_logprobs": logprobs}

    @torch.inference_mode()
    def _logprobs(self, ids: list[int]) -> list[float]:
        logits = self.pupil.model(torch.tensor([ids])).logits[0, :-1].float()
        return logits.log_softmax(-1).gather(1, torch.tensor(ids[1:]).unsqueeze(1)).squeeze(1).tolist()

    @torch.inference_mode()
    def _decode(self, told: dict[str, Any], prompt: list[int], seed: int | None) -> tuple[list[int], list[float], bool]:
        wishes = json.loads(told.get("generation_config", "{}"))
        ends = {self.pupil.screenplay.end_id, *told.get("stop_token_ids", ()), *wishes.get("eos_token_id", ())}
        generator = torch.Generator()
        generator.manual_seed(seed) if seed is not None else generator.seed()
        ids, logprobs = list(prompt), []
        for _ in range(told["max_tokens"]):
            scores = self.pupil.model(torch.tensor([ids])).logits[0, -1].float()
            ids.append(drawn(scores, told, generator))
            logprobs.append(scores.log_softmax(-1)[ids[-1]].item())
            if ids[-1] in ends:
                break
        return ids[len(prompt) :], logprobs, ids[-1] in ends


def drawn(scores: torch.Tensor, told: dict[str, Any], generator: torch.Generator) -> int:
    """Draw a token from (V,) scores by temperature and top-p."""
    if told["temperature"] == 0:
        return int(scores.argmax())
    probabilities, order = (scores / told["temperature"]).softmax(-1).sort(descending=True)
    probabilities[probabilities.cumsum(0) - probabilities > told["top_p"]] = 0
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])


def error(status: int, code: str = "error", message: str = "no", headers: dict[str, str] | None = None) -> web.Response:
    """Answer with an error in OpenAI's shape; its message says more than we may repeat."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def failing(status: int, **headers: str) -> Fault:
    """Answer once with `status`; a header's name is spelled with underscores."""

    async def answer(request: web.Request) -> web.Response:
        return error(status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


async def hanging_up(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    assert request.transport
    request.transport.close()
    return web.Response()


async def hanging(request: web.Request) -> web.Response:
    """Never answer."""
    await asyncio.Event().wait()
    return web.Response()


def saying(text: str, content_type: str = "text/html") -> Fault:
    """Answer once with 200 and `text`."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type)

    return answer
