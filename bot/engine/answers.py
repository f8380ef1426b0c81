"""What a server's `/v1/completions` answers, in the shapes that servers give it. Standard library only."""

import math
from dataclasses import dataclass
from typing import Any


class AnswerError(ValueError):
    """JSON of another shape than an OpenAI-compatible server's."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One completion. `finished` is the server's own word for why it ended.

    `ids`, `tokens` and `logprobs` belong to the tokens generated, or echoed and generated, one by
    one; each is None where the server gives none, as is the log-probability of a first echoed token.
    """

    text: str
    finished: str | None
    ids: list[int] | None
    tokens: list[str] | None
    logprobs: list[float | None] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The choices in their order, and how many tokens the server counted, None where it does not say."""

    choices: list[Choice]
    prompt_tokens: int | None
    completion_tokens: int | None


def read_answer(body: Any) -> Answer:
    """Read the JSON of a completion; raises AnswerError where it has another shape."""
    choices = _list(_object(body).get("choices"))
    if not choices:
        raise AnswerError("no choices")
    ordered = sorted(map(_object, choices), key=lambda one: _whole(one.get("index")) or 0)
    usage = body.get("usage") or {}
    counts = (_whole(_object(usage).get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return Answer([_choice(one) for one in ordered], *counts)


def read_models(body: Any) -> dict[str, int | None]:
    """Read the names of a server's models and, where it says so, the context of each in tokens.

    Raises AnswerError where the JSON has another shape.
    """
    found: dict[str, int | None] = {}
    for one in map(_object, _list(_object(body).get("data"))):
        if not isinstance(name := one.get("id"), str):
            raise AnswerError("a model without an id")
        meta = one.get("meta") or {}
        found[name] = _whole(one.get("max_model_len")) or _whole(_object(meta).get("n_ctx"))
    return found


def read_error_code(body: Any) -> str | None:
    """Return the one word a server gives for an error; never its text, which may quote the prompt or the key."""
    error = body.get("error") if isinstance(body, dict) else None
    for name in ("code", "type"):
        word = error.get(name) if isinstance(error, dict) else None
        if isinstance(word, str) and word.isascii() and word.isidentifier() and len(word) <= 40:
            return word
    return None


def _choice(one: dict[str, Any]) -> Choice:
    if not isinstance(text := one.get("text"), str):
        raise AnswerError("a choice without a text")
    ids, tokens, logprobs = _logprobs(one.get("logprobs"))
    given = one.get("token_ids")  # vLLM's, on request
    finished = one.get("finish_reason")
    return Choice(
        text,
        finished if isinstance(finished, str) else None,
        ids if given is None else [_id(token) for token in _list(given)],
        tokens,
        logprobs,
    )


def _logprobs(given: Any) -> tuple[list[int] | None, list[str] | None, list[float | None] | None]:
    """Read OpenAI's lists, or llama.cpp's `content`, one object a token."""
    if given is None:
        return None, None, None
    given = _object(given)
    if "content" in given:
        content = [_object(one) for one in _list(given["content"])]
        numbered = all(isinstance(one.get("id"), int) for one in content)
        ids = [int(one["id"]) for one in content] if numbered else None
        return ids, [str(one.get("token", "")) for one in content], [_number(one.get("logprob")) for one in content]
    values = given.get("token_logprobs")
    if values is None:
        return None, None, None
    return None, [str(one) for one in _list(given.get("tokens") or [])], [_number(one) for one in _list(values)]


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise AnswerError("not an object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise AnswerError("not a list")
    return value


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _id(value: Any) -> int:
    if (number := _whole(value)) is None:
        raise AnswerError("not a token id")
    return number


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or math.isnan(value):
        raise AnswerError("not a number")
    return float(value)
