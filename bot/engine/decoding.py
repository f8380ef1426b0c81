"""What the engine's thread does with a model: requests become tasks of a batch, tasks answers. Imports torch."""

import inspect
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from bot import logs
from bot.engine import attention
from bot.engine.batching import Batch
from bot.engine.checkpoints import CheckpointError, LoadedCheckpoint
from bot.engine.head import make_exact
from bot.engine.prefixes import PrefixCache, PrefixStats
from bot.engine.protocol import Candidate, EngineError, GenerateRequest, ScoreRequest
from bot.engine.slots import Slots
from bot.engine.tasks import Generation, Scoring
from persona.words import words_of

_SCORED_TOGETHER = 8
_OUT_OF_MEMORY = "the model ran out of memory: set DEVICE=cpu, or a smaller CACHE_MB or LONGEST_REPLY"

_log = logs.logger("engine")


class Decoder:
    """A checkpoint at work, on any number of requests at once.

    `context` bounds prompt and reply together, in tokens; `cache_bytes` what is kept of prompts and
    of the replies being computed. The model is the decoder's from now on: it attends in slots. A
    quarter of the context always stays free for the reply, so that a reply of ordinary length is
    scored behind the prompt it was generated from. Raises CheckpointError for an architecture that
    cannot be served here.
    """

    def __init__(self, checkpoint: LoadedCheckpoint, context: int, cache_bytes: int) -> None:
        model, config = checkpoint.model, checkpoint.model.config
        _check(model)
        model.set_attn_implementation(attention.NAME)
        make_exact(model)
        known = (getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window"))
        self._context = min([context, *(one for one in known if one)])
        self._screenplay = checkpoint.screenplay
        # Whatever control token the model says, nothing behind it could be part of a reply.
        self._ends = frozenset({self._screenplay.end_id, *self._screenplay.tokenizer.controls.values()})
        self._slots = Slots(config, self._context, next(model.parameters()), cache_bytes)
        self._prefixes = PrefixCache(cache_bytes, self._slots.view(0))
        adapters = checkpoint.adapters
        self._batch = Batch(model, self._slots, self._prefixes, adapters.use if adapters else lambda name: None)
        self._adapter_of = checkpoint.adapter_of
        self._device = checkpoint.device
        self._words: dict[int, list[str]] = {}

    @property
    def stats(self) -> PrefixStats:
        """Return what the cache of prompts has counted."""
        return self._prefixes.stats

    def generation(self, request: GenerateRequest) -> list[Generation]:
        """Take a request in hand: as many tasks as its candidates need; raises EngineError.

        With a seed the prompt is computed anew, so that the words never depend on what was asked before.
        """
        longest = min(request.longest, self._context // 2)
        prompt = self._prompt(request, longest)
        seed = secrets.randbits(63) if request.seed is None else request.seed
        adapter = self._adapter_of.get(request.persona.id, "")
        tasks = [
            Generation(
                prompt, request.deadline, adapter, anew=request.seed is not None and not first,
                n=min(self._slots.count, request.n - first), first=first, sampling=request.sampling,
                longest=longest, seed=seed, ends=self._ends, text_of=self._screenplay.tokenizer.decode,
                words_of=self._words_of,
            )
            for first in range(0, request.n, self._slots.count)
        ]  # fmt: skip
        for task in tasks:
            self._batch.add(task)
        return tasks

    def scoring(self, request: ScoreRequest) -> list[Scoring]:
        """Take replies to score in hand, some of them a task; raises EngineError."""
        said = [self._screenplay.said(reply) for reply in request.replies]
        prompt = self._prompt(request, max(map(len, said), default=0))
        adapter = self._adapter_of.get(request.persona.id, "")
        together = min(_SCORED_TOGETHER, self._slots.count)
        tasks = [
            Scoring(prompt, request.deadline, adapter, replies=said[first : first + together])
            for first in range(0, len(said), together)
        ]
        for task in tasks:
            self._batch.add(task)
        return tasks

    def step(self) -> None:
        """Compute one step for everybody; raises EngineError where memory runs out even without the cache."""
        with _translated_errors(), torch.inference_mode():
            try:
                self._batch.step()
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                _log.warning("out of memory: the cache of prompts is emptied, and less is computed at once")
                self._batch.relieve()
                self._prefixes.clear()
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                self._batch.step()

    def tidy(self) -> None:
        """Give back to the system what is free of the memory in which is computed."""
        self._slots.tidy()

    def drop(self, tasks: Sequence[Generation | Scoring]) -> None:
        """Forget tasks, finished or not."""
        for task in tasks:
            self._batch.drop(task)

    def _words_of(self, token: int) -> list[str]:
        if token not in self._words:
            self._words[token] = words_of(self._screenplay.tokenizer.decode([token]))
        return self._words[token]

    def _prompt(self, request: GenerateRequest | ScoreRequest, longest: int) -> list[int]:
        room = self._context - max(longest, self._context // 4)
        opening = len(self._screenplay.header(request.persona.name))
        if room <= 2 * opening:
            raise EngineError(f"a reply of {longest} tokens leaves no room for a prompt in {self._context}")
        return self._screenplay.prompt(request.conversation.turns, request.persona.name, room)


def candidates(tasks: Sequence[Generation]) -> list[Candidate]:
    """Return the candidates of a request, as far as they came."""
    return [one for task in tasks for one in task.candidates()]


def scores(tasks: Sequence[Scoring]) -> list[float]:
    """Return the scores of a request; raises EngineError where time ran out."""
    if not all(task.done for task in tasks):
        raise EngineError("there was no time left to score the replies")
    return [one for task in tasks for one in task.scores]


def _check(model: Any) -> None:
    takes = inspect.signature(model.forward).parameters
    if not getattr(model, "_supports_attention_backend", False) or "logits_to_keep" not in takes:
        raise CheckpointError(
            f"the architecture {model.config.model_type!r} cannot be served in this process; serve it with an "
            "OpenAI-compatible server and set ENGINE_URL"
        )


def _is_out_of_memory(error: Exception) -> bool:
    """Say whether memory ran out; the CPU's allocator has no type of its own for that."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if _is_out_of_memory(error):
            raise EngineError(_OUT_OF_MEMORY) from None
        raise
