"""The engine that runs a model in this process, in one thread of its own, many requests at once.

Importing this module loads no torch: the thread does, so that a person can type while it loads.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from bot import logs
from bot.engine.memory import give_back_freed_memory
from bot.engine.protocol import (
    SCORES_A_REPLY,
    Abilities,
    Busy,
    Candidate,
    EngineError,
    GenerateRequest,
    ScoreRequest,
)
from bot.engine.worker import Job, Worker, fail, stopped

if TYPE_CHECKING:
    from bot.engine.checkpoints import LoadedCheckpoint
    from bot.engine.decoding import Decoder
    from bot.engine.prefixes import PrefixStats
    from bot.engine.tasks import Generation, Scoring

THREAD = "echochamber-engine"
_SECONDS_A_STEP = 5.0  # at the very most, on a slow machine
_CLOSED = "the engine was closed before it could answer"

_log = logs.logger("engine")
_T = TypeVar("_T")


class LocalEngine:
    """Keeps the contract of `bot.engine.protocol.ReplyEngine` with a transformers model.

    `load` is called once, in the engine's thread. At most `queue_size` requests for replies are in
    hand, those that wait for the model to load included, and `SCORES_A_REPLY` times as many for
    scores. `context` bounds prompt and reply, in tokens;
    `cache_mb`, in MiB, what is kept of the conversations computed before and of those in hand.
    """

    def __init__(
        self,
        load: "Callable[[], LoadedCheckpoint]",
        *,
        queue_size: int = 32,
        context: int = 512,
        cache_mb: int = 512,
    ) -> None:
        self._load = load
        self._queue_size = queue_size
        self._context = context
        self._cache_bytes = cache_mb * 2**20
        self._decoder: Decoder | None = None
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._replies: set[Job[Any]] = set()
        self._scores: set[Job[Any]] = set()
        self._loaded: Future[LoadedCheckpoint] = Future()
        # A daemon, because a load cannot be interrupted: it must not keep the process from leaving.
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._closed = False

    def start(self) -> None:
        """Begin to load the model behind; without it the first request does."""
        if self._thread.ident is None and not self._closed:
            self._thread.start()

    async def ready(self) -> Abilities:
        """Wait for the model, and return what it can do; raises EngineError where it cannot be loaded."""
        loaded = await self.checkpoint()
        return Abilities(candidates=16 if loaded.device.type == "cuda" else 8, notice=loaded.notice)

    async def checkpoint(self) -> "LoadedCheckpoint":
        """Wait for the model and return it; raises EngineError where it cannot be loaded."""
        self.start()
        waiting = asyncio.wrap_future(self._loaded)
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever waited may have left
        return await asyncio.shield(waiting)

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        """Return `request.n` candidates; raises Busy or EngineError.

        A request whose deadline passes before its turn comes gets empty candidates.
        """
        late = [Candidate("", 0.0, 0, "deadline")] * request.n
        job = Job(lambda decoder: decoder.generation(request), _candidates)
        found = await self._done(job, request.deadline, self._replies, self._queue_size)
        return late if found is None else found

    async def score(self, request: ScoreRequest) -> list[float]:
        """Return the natural log-probability of each reply and its end of turn; raises Busy or EngineError."""
        job = Job(lambda decoder: decoder.scoring(request), _scores)
        found = await self._done(job, request.deadline, self._scores, SCORES_A_REPLY * self._queue_size)
        if found is None:
            raise EngineError("there was no time left to score the replies")
        return found

    async def aclose(self) -> None:
        """Give up what is in hand, whose waiters get an EngineError, and free the model.

        A model that is still loading is left behind: see `left_behind`.
        """
        self._closed = True
        seconds = _SECONDS_A_STEP if self._loaded.done() else 0.0
        for job in (*self._replies, *self._scores):
            job.given_up.set()
            job.future.cancel()
        fail(self._loaded, _CLOSED)
        self._jobs.put(None)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, seconds)
        self._loaded = Future()
        fail(self._loaded, _CLOSED)

    def stats(self) -> "PrefixStats | None":
        """Return what the cache of conversations has counted, None where no model is loaded."""
        return None if self._decoder is None else replace(self._decoder.stats)

    async def _done(self, job: Job[_T], deadline: float | None, in_hand: set[Job[Any]], most: int) -> _T | None:
        """Wait for the thread to do the job; None where it could not begin before the deadline."""
        if self._closed:
            raise EngineError("the engine is closed")
        if len(in_hand) >= most:
            raise Busy("too many replies are in hand")
        if deadline is not None and deadline <= time.monotonic():
            return None  # the thread could be quick enough to begin it
        self.start()
        in_hand.add(job)
        self._jobs.put(job)
        waiting = asyncio.wrap_future(job.future)
        try:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            await asyncio.wait([waiting], timeout=left)
            if waiting.cancelled():
                raise EngineError(_CLOSED)
            if not waiting.done() and job.future.cancel():
                return None
            answer = await waiting
            if self._closed:
                raise EngineError(_CLOSED)
            return answer
        finally:
            job.given_up.set()
            waiting.cancel()
            in_hand.discard(job)

    def _run(self) -> None:
        try:
            sentence = self._open()
            if self._decoder is not None:
                Worker(self._decoder, self._jobs).run()
                return
        except BaseException as error:  # there is nobody else to tell those who wait
            _log.error("the engine stopped", exc_info=error)
            sentence = stopped(error)
            fail(self._loaded, sentence)
        finally:
            self._decoder = None
        # Once closed there may be no None to come, and whoever waits has been told.
        while not self._closed and (job := self._jobs.get()) is not None:
            if job.future.set_running_or_notify_cancel():
                fail(job.future, sentence)

    def _open(self) -> str:
        """Load the model; where that fails, return the sentence that everybody waiting gets."""
        try:
            checkpoint = self._load()
            from bot.engine.decoding import Decoder  # noqa: PLC0415 - loads torch

            self._decoder = Decoder(checkpoint, self._context, self._cache_bytes)
            give_back_freed_memory()  # loading leaves as much behind as the weights are
        except Exception as error:  # whatever a third party's loader raises has to reach those who wait
            sentence = _load_failure(error)
            fail(self._loaded, sentence)
            return sentence
        with suppress(InvalidStateError):  # closed meanwhile
            self._loaded.set_result(checkpoint)
        return ""


def _candidates(tasks: "Sequence[Generation]") -> list[Candidate]:
    from bot.engine.decoding import candidates  # noqa: PLC0415 - loads torch, in whose thread this runs

    return candidates(tasks)


def _scores(tasks: "Sequence[Scoring]") -> list[float]:
    from bot.engine.decoding import scores  # noqa: PLC0415 - likewise

    return scores(tasks)


def left_behind() -> bool:
    """Say whether an engine's thread still runs, so that the interpreter could not end in peace."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def _load_failure(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"the package {error.name or 'of the model'} cannot be imported: install echochamber[engine]"
    with suppress(Exception):  # a torch that cannot be loaded fails here as it did in the loader
        from bot.engine.checkpoints import CheckpointError  # noqa: PLC0415 - loads torch, which the loader had to anyway

        if isinstance(error, EngineError | CheckpointError):
            return str(error)
    _log.error("the model cannot be loaded", exc_info=error)
    return f"the model cannot be loaded ({type(error).__name__})"
