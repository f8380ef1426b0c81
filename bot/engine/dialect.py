"""How one server is talked to: what it understands, and how a request is put to it. Standard library only."""

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from bot.engine.answers import Answer, Choice
from bot.engine.protocol import Candidate, Sampling
from persona.screenplay import Screenplay

GREEDY = Sampling(temperature=0, top_p=1)
_T = TypeVar("_T")
_STOPPED = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to talk to one server about one model.

    `ids`: it takes prompts as token ids. `fields`: what it understands beyond OpenAI's own fields.
    `at_once`: how many candidates one request may ask for. `added`: tokens that it puts in front of a
    text. `context` bounds prompt and reply, in tokens, None where it does not say.
    """

    model: str | None = None
    context: int | None = None
    ids: bool = False
    fields: tuple[str, ...] = ()
    at_once: int = 1
    logprobs: bool = False
    scores: bool = False
    added: int = 0
    notice: str | None = None

    @property
    def one_generator(self) -> bool:
        """Say whether a seed holds for all that the server does: so it is with `transformers serve`."""
        return "generation_config" in self.fields

    def completion(
        self, screenplay: Screenplay, prompt: Sequence[int], sampling: Sampling, longest: int
    ) -> dict[str, Any]:
        """Return the body that asks for one reply behind `prompt`."""
        body: dict[str, Any] = {
            "prompt": list(prompt) if self.ids else spelled(screenplay, prompt),
            "max_tokens": longest,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if self.model is not None:
            body["model"] = self.model
        if self.logprobs:
            body["logprobs"] = 1
        values = _values(screenplay, sampling, longest) if self.fields else {}
        return body | {name: values[name] for name in self.fields}

    def echo(self, screenplay: Screenplay, ids: Sequence[int]) -> dict[str, Any]:
        """Return the body that asks for the log-probability of every token in `ids`."""
        return self.completion(screenplay, ids, GREEDY, 1) | {"echo": True, "logprobs": 1}

    def echoed(self, answer: Answer, prompt: int, reply: int) -> list[float] | None:
        """Return the log-probabilities of the `reply` tokens that follow `prompt` tokens.

        None where the server echoed other tokens than it was given, or none.
        """
        values = answer.choices[0].logprobs or []
        first = prompt + self.added
        generated = len(values) - first - reply
        if generated not in {0, 1} or answer.completion_tokens not in {None, generated}:
            return None
        found = [one for one in values[first : first + reply] if one is not None]
        return found if len(found) == reply else None


def read_candidate(screenplay: Screenplay, choice: Choice, counted: int | None) -> Candidate:
    """Cut a completion at its first control token, known by its id or else by how it is spelled.

    `counted` is how many tokens the server says it made. Where it keeps the end of turn to itself,
    tokens and log-probability are those before it.
    """
    controls = screenplay.tokenizer.controls
    if choice.ids is not None:
        end = _first(choice.ids, controls.values())
        text, made = screenplay.tokenizer.decode(choice.ids[:end]), len(choice.ids)
    else:
        end = _first(choice.tokens or [], controls)
        text = choice.text[: min((at for one in controls if (at := choice.text.find(one)) >= 0), default=None)]
        made = len(choice.tokens or []) or counted or len(screenplay.tokenizer.encode(text)) + 1
    cut = choice.ids is None and len(text) < len(choice.text)
    tokens = made if end is None else end + 1
    logprobs = [one for one in (choice.logprobs or [])[:tokens] if one is not None]
    logprob = sum(logprobs) if logprobs and len(logprobs) == tokens else None
    stopped = end is not None or cut or choice.finished in _STOPPED
    return Candidate(text.strip(), logprob, tokens, "stop" if stopped else "length")


def spelled(screenplay: Screenplay, ids: Sequence[int]) -> str:
    """Return the text that a server which knows the control tokens reads as `ids`."""
    controls = {ident: literal for literal, ident in screenplay.tokenizer.controls.items()}
    runs = groupby(ids, key=lambda ident: ident in controls)
    return "".join(
        "".join(controls[ident] for ident in run) if control else screenplay.tokenizer.decode(list(run))
        for control, run in runs
    )


def _values(screenplay: Screenplay, sampling: Sampling, longest: int) -> dict[str, Any]:
    """Return every field we know; without them a server mixes in what it, or the model's files, prefer."""
    controls = screenplay.tokenizer.controls
    end, ends = screenplay.end_id, sorted({screenplay.end_id, *controls.values()})
    literals = [literal for literal, ident in controls.items() if ident == end][:1]
    literals += [one for one in (screenplay.format.open, screenplay.tokenizer.eos) if one]
    generation = {
        "do_sample": sampling.temperature > 0,
        "top_k": 0,
        "min_p": sampling.min_p or None,
        "max_new_tokens": longest,
        "eos_token_id": ends,
        "pad_token_id": end,
    }
    return {
        "stop": list(dict.fromkeys(literals)),
        "stop_token_ids": ends,
        "top_k": 0,
        "min_p": sampling.min_p,
        "repetition_penalty": 1.0,
        "skip_special_tokens": False,
        "add_special_tokens": False,
        "return_token_ids": True,
        "generation_config": json.dumps(generation),
    }


def _first(said: Sequence[_T], ends: Container[_T]) -> int | None:
    return next((at for at, token in enumerate(said) if token in ends), None)
