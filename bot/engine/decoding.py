"""What the engine's thread does with a model: decode replies and score them. Imports torch."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from bot.engine.checkpoints import LoadedCheckpoint
from bot.engine.protocol import Candidate, EngineError, GenerateRequest, ScoreRequest

_SCORED_AT_ONCE = 8
_OUT_OF_MEMORY = "the model ran out of memory: set DEVICE=cpu, or a smaller QUEUE_SIZE or LONGEST_REPLY"


class Decoder:
    """A checkpoint at work. `context` bounds prompt and reply together, in tokens.

    The model is the decoder's from now on. A quarter of the context always stays free for the
    reply, so that a reply of ordinary length is scored behind the prompt it was generated from.
    """

    def __init__(self, checkpoint: LoadedCheckpoint, context: int) -> None:
        self._model = checkpoint.model
        # What a base's generation_config.json wishes for (a penalty, a top-k) would mix with every request.
        self._model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self._device = checkpoint.device
        self._screenplay = checkpoint.screenplay
        self._context = min(context, getattr(self._model.config, "max_position_embeddings", None) or context)
        # Whatever control token the model says, nothing behind it could be part of a reply.
        self._ends = sorted({self._screenplay.end_id, *self._screenplay.tokenizer.controls.values()})

    def generate(self, request: GenerateRequest, given_up: threading.Event) -> list[Candidate]:
        """Return the candidates; those of a request given up or out of time end within one step."""
        longest = min(request.longest, self._context // 2)
        prompt = self._prompt(request, longest)
        with _translated_errors(), torch.inference_mode(), self._seeded(request.seed):
            ids = torch.tensor([prompt] * request.n, device=self._device)
            output = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=self._config(request, longest),
                stopping_criteria=StoppingCriteriaList([_GivenUp(given_up, request.deadline)]),
            )
            logprobs = _logprobs(torch.stack(output.logits, dim=1), output.sequences[:, len(prompt) :]).tolist()
            drawn = output.sequences[:, len(prompt) :].tolist()
        return [self._candidate(*one, longest) for one in zip(drawn, logprobs, strict=True)]

    def score(self, request: ScoreRequest, given_up: threading.Event) -> list[float]:
        """Return the natural log-probability of each reply and its end of turn, as the model gives it."""
        said = [self._screenplay.said(reply) for reply in request.replies]
        prompt = self._prompt(request, max(map(len, said), default=0))
        scores: list[float] = []
        with _translated_errors(), torch.inference_mode():
            for at in range(0, len(said), _SCORED_AT_ONCE):
                if given_up.is_set() or _late(request.deadline):
                    raise EngineError("there was no time left to score the replies")
                scores += self._scored(prompt, said[at : at + _SCORED_AT_ONCE])
        return scores

    def _prompt(self, request: GenerateRequest | ScoreRequest, longest: int) -> list[int]:
        room = self._context - max(longest, self._context // 4)
        opening = len(self._screenplay.header(request.persona.name))
        if room <= 2 * opening:
            raise EngineError(f"a reply of {longest} tokens leaves no room for a prompt in {self._context}")
        return self._screenplay.prompt(request.conversation.turns, request.persona.name, room)

    def _scored(self, prompt: list[int], said: list[list[int]]) -> list[float]:
        """Score a batch by teacher forcing, padded on the right and masked by position."""
        longest = max(map(len, said))
        padded = [prompt + reply + [self._screenplay.end_id] * (longest - len(reply)) for reply in said]
        real = torch.tensor([[1] * len(reply) + [0] * (longest - len(reply)) for reply in said], device=self._device)
        ids = torch.tensor(padded, device=self._device)
        mask = torch.cat([torch.ones_like(ids[:, : len(prompt)]), real], dim=1)
        logits = self._model(ids, attention_mask=mask, logits_to_keep=longest + 1, use_cache=False).logits[:, :-1]
        return (_logprobs(logits, ids[:, len(prompt) :]) * real).sum(dim=1).tolist()

    def _candidate(self, drawn: list[int], logprobs: list[float], longest: int) -> Candidate:
        end = next((at for at, token in enumerate(drawn) if token in self._ends), None)
        tokens = len(drawn) if end is None else end + 1
        text = self._screenplay.tokenizer.decode(drawn[:end]).strip()
        reason = "stop" if end is not None else "length" if tokens >= longest else "deadline"
        return Candidate(text, sum(logprobs[:tokens]), tokens, reason)  # type: ignore[arg-type]

    def _config(self, request: GenerateRequest, longest: int) -> GenerationConfig:
        sampling = request.sampling
        drawn: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
            drawn["min_p"] = sampling.min_p or None
        return GenerationConfig(  # type: ignore[no-untyped-call]
            **drawn,
            max_new_tokens=longest,
            eos_token_id=self._ends,
            pad_token_id=self._screenplay.end_id,
            return_dict_in_generate=True,
            output_logits=True,
        )

    @contextmanager
    def _seeded(self, seed: int | None) -> Iterator[None]:
        """Draw from `seed`, or from chance: torch starts every process with the same seed."""
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(secrets.randbits(63) if seed is None else seed)
            yield


class _GivenUp(StoppingCriteria):
    """Stops every sequence of a batch once nobody waits for it or time is out."""

    def __init__(self, given_up: threading.Event, deadline: float | None) -> None:
        self._given_up = given_up
        self._deadline = deadline

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        stop = self._given_up.is_set() or _late(self._deadline)
        return torch.full((len(input_ids),), stop, dtype=torch.bool, device=input_ids.device)


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return (B, T) log-probabilities of `tokens` under the model's own distribution (B, T, V)."""
    logits = logits.float()
    return logits.gather(2, tokens.unsqueeze(2)).squeeze(2) - logits.logsumexp(dim=2)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        torch.cuda.empty_cache()
        raise EngineError(_OUT_OF_MEMORY) from None
    except RuntimeError as error:
        if "can't allocate memory" in str(error):  # the CPU allocator has no type of its own
            raise EngineError(_OUT_OF_MEMORY) from None
        raise
