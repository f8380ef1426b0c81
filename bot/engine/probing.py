"""What a server understands, found out by asking. Standard library only.

Servers accept what they do not honour, and refuse what others need, so each ability is tried once
with a few tokens and what comes back is looked at.
"""

from dataclasses import replace
from typing import Any

from bot.engine.answers import Answer
from bot.engine.completions import CompletionsClient, RefusedError, Server
from bot.engine.dialect import GREEDY, Dialect
from bot.engine.protocol import EngineError, Sampling
from persona.dialogue import Turn
from persona.screenplay import Screenplay

_FREE = Sampling(temperature=2, top_p=1)
# What servers understand beyond OpenAI's own fields, the most at once first: vLLM's and llama.cpp's; transformers'.
_SAMPLED, _STOPPED, _TOKENS = (
    ("top_k", "min_p", "repetition_penalty"),
    ("stop", "stop_token_ids"),
    ("skip_special_tokens", "add_special_tokens", "return_token_ids"),
)
_FIELDS: tuple[tuple[str, ...], ...] = (
    (*_SAMPLED, *_STOPPED, *_TOKENS),
    ("generation_config",),
    ("stop", "top_k", "min_p"),
    ("stop",),
)
_AT_ONCE = (8, 4)


async def learn_dialect(client: CompletionsClient, server: Server, screenplay: Screenplay) -> Dialect:
    """Find out what `server` understands; raises EngineError where it cannot be used, in one sentence."""
    await client.wait_until_loaded()
    models = await client.models()
    model = _model(server, models)
    trial = _Trial(client, screenplay)
    known = Dialect(model, models.get(model) if model else None)
    plain = await _plainly(client, server, trial.body(known), models)
    for step in (trial.ids, trial.fields, trial.candidates, trial.logprobs):
        known = await step(known)
    return await trial.scores(_counted(known, plain, len(trial.prompt)))


class _Trial:
    """Tries one ability after the other, each with what is known before."""

    def __init__(self, client: CompletionsClient, screenplay: Screenplay) -> None:
        self._client = client
        self._screenplay = screenplay
        self.prompt = screenplay.prompt((Turn("Guest", "Hello there, how are you doing today?"),), "Guest", 64)

    def body(self, dialect: Dialect, sampling: Sampling = GREEDY, longest: int = 1) -> dict[str, Any]:
        return dialect.completion(self._screenplay, self.prompt, sampling, longest)

    async def ids(self, known: Dialect) -> Dialect:
        answer = await self._client.understood(self.body(replace(known, ids=True)))
        return replace(known, ids=answer is not None and answer.prompt_tokens in {None, len(self.prompt)})

    async def fields(self, known: Dialect) -> Dialect:
        for fields in _FIELDS:
            if await self._client.understood(self.body(replace(known, fields=fields))):
                return replace(known, fields=fields)
        return known

    async def candidates(self, known: Dialect) -> Dialect:
        for n in _AT_ONCE:
            answer = await self._client.understood(self.body(known, _FREE, 4) | {"n": n, "seed": 1})
            if answer and len(answer.choices) == n and len({one.text for one in answer.choices}) > 1:
                return replace(known, at_once=n)
        return known

    async def logprobs(self, known: Dialect) -> Dialect:
        answer = await self._client.understood(self.body(replace(known, logprobs=True)))
        return replace(known, logprobs=answer is not None and bool(answer.choices[0].logprobs))

    async def scores(self, known: Dialect) -> Dialect:
        answer = await self._client.understood(known.echo(self._screenplay, self.prompt))
        found = answer and known.echoed(answer, len(self.prompt) - 2, 2)
        return replace(known, scores=bool(found))


def _model(server: Server, models: dict[str, int | None]) -> str | None:
    if server.model is None and len(models) > 1:
        raise EngineError(
            f"the server at {server.place} has several models: set ENGINE_MODEL to one of {_some(models)}"
        )
    return server.model or next(iter(models), None)


async def _plainly(
    client: CompletionsClient, server: Server, body: dict[str, Any], models: dict[str, int | None]
) -> Answer:
    """Ask for one token with nothing but what every such server understands."""
    try:
        return await client.complete(body)
    except RefusedError as error:
        model = body.get("model")
        if model is not None and model not in models and error.status in {400, 404}:
            has = f"it has {_some(models)}" if models else "it does not say which it has"
            raise EngineError(f"the server at {server.place} has no model {model!r}: {has} (ENGINE_MODEL)") from None
        if error.status in {404, 405, 501}:
            raise EngineError(
                f"the server at {server.place} completes no text: it has no /v1/completions ({error.status})"
            ) from None
        raise


def _counted(known: Dialect, plain: Answer, prompt: int) -> Dialect:
    """Compare how many tokens the server made of a text with how many we did; one in front of it is usual."""
    if plain.prompt_tokens in {None, prompt}:
        return known
    if plain.prompt_tokens == prompt + 1:
        return replace(known, added=0 if known.ids or "add_special_tokens" in known.fields else 1)
    notice = (
        f"The server reads a prompt of {prompt} tokens as {plain.prompt_tokens}: its model or its tokenizer is not "
        "the one that MODEL belongs to, so replies may be poor."
    )
    return replace(known, notice=notice)


def _some(models: dict[str, int | None]) -> str:
    names = list(models)
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
