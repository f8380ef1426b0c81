"""The engine that runs a model in this process, in one thread of its own.

Importing this module loads no torch: the thread does, so that a person can type while it loads.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bot import logs
from bot.engine.protocol import Busy, Candidate, EngineError, GenerateRequest, ScoreRequest

if TYPE_CHECKING:
    from bot.engine.checkpoints import LoadedCheckpoint
    from bot.engine.decoding import Decoder

THREAD = "echochamber-engine"
_SECONDS_A_STEP = 5.0  # at the very most, on a slow machine
_CLOSED = "the engine was closed before it could answer"

_log = logs.logger("engine")
_T = TypeVar("_T")


@dataclass(eq=False)
class _Job(Generic[_T]):
    work: Callable[["Decoder", threading.Event], _T]
    future: Future[_T] = field(default_factory=Future)
    given_up: threading.Event = field(default_factory=threading.Event)


class LocalEngine:
    """Keeps the contract of `bot.engine.protocol.ReplyEngine` with a transformers model.

    `load` is called once, in the engine's thread. At most `queue_size` requests are in hand, those
    that wait for the model to load included. `context` bounds prompt and reply, in tokens.
    """

    def __init__(self, load: "Callable[[], LoadedCheckpoint]", *, queue_size: int = 32, context: int = 512) -> None:
        self._load = load
        self._queue_size = queue_size
        self._context = context
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._in_hand: set[_Job[Any]] = set()
        self._loaded: Future[LoadedCheckpoint] = Future()
        # A daemon, because a load cannot be interrupted: it must not keep the process from leaving.
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._closed = False

    def start(self) -> None:
        """Begin to load the model behind; without it the first request does."""
        if self._thread.ident is None and not self._closed:
            self._thread.start()

    async def ready(self) -> "LoadedCheckpoint":
        """Wait for the model; raises EngineError where it cannot be loaded."""
        self.start()
        waiting = asyncio.wrap_future(self._loaded)
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever waited may have left
        return await asyncio.shield(waiting)

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        """Return `request.n` candidates; raises Busy or EngineError.

        A request whose deadline passes before its turn comes gets empty candidates.
        """
        late = [Candidate("", 0.0, 0, "deadline")] * request.n
        found = await self._done(lambda decoder, given_up: decoder.generate(request, given_up), request.deadline)
        return late if found is None else found

    async def score(self, request: ScoreRequest) -> list[float]:
        """Return the natural log-probability of each reply and its end of turn; raises Busy or EngineError."""
        found = await self._done(lambda decoder, given_up: decoder.score(request, given_up), request.deadline)
        if found is None:
            raise EngineError("there was no time left to score the replies")
        return found

    async def aclose(self) -> None:
        """Give up what is in hand, whose waiters get an EngineError, and free the model.

        A model that is still loading is left behind: see `left_behind`.
        """
        self._closed = True
        seconds = _SECONDS_A_STEP if self._loaded.done() else 0.0
        for job in self._in_hand:
            job.given_up.set()
            job.future.cancel()
        _fail(self._loaded, _CLOSED)
        self._jobs.put(None)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, seconds)
        self._loaded = Future()
        _fail(self._loaded, _CLOSED)

    async def _done(self, work: "Callable[[Decoder, threading.Event], _T]", deadline: float | None) -> _T | None:
        """Wait for the thread to do `work`; None where it could not begin before the deadline."""
        if self._closed:
            raise EngineError("the engine is closed")
        if len(self._in_hand) >= self._queue_size:
            raise Busy("too many replies are in hand")
        if deadline is not None and deadline <= time.monotonic():
            return None  # the thread could be quick enough to begin it
        self.start()
        job = _Job(work)
        self._in_hand.add(job)
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
            self._in_hand.discard(job)

    def _run(self) -> None:
        decoder = self._decoder()
        while (job := self._jobs.get()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._answer(job, decoder)

    def _decoder(self) -> "Decoder | str":
        """Load the model; where that fails, return the sentence that everybody waiting gets."""
        try:
            checkpoint = self._load()
            from bot.engine.decoding import Decoder  # noqa: PLC0415 - loads torch

            decoder = Decoder(checkpoint, self._context)
        except Exception as error:  # whatever a third party's loader raises has to reach those who wait
            sentence = _load_failure(error)
            _fail(self._loaded, sentence)
            return sentence
        with suppress(InvalidStateError):  # closed meanwhile
            self._loaded.set_result(checkpoint)
        return decoder

    @staticmethod
    def _answer(job: _Job[Any], decoder: "Decoder | str") -> None:
        if isinstance(decoder, str):
            _fail(job.future, decoder)
            return
        try:
            answer = job.work(decoder, job.given_up)
        except EngineError as error:
            _fail(job.future, str(error))
        except Exception as error:  # one failed reply must not take the thread with it
            _log.error("the model failed", exc_info=error)
            _fail(job.future, f"the model failed ({type(error).__name__})")
        else:
            job.future.set_result(answer)


def left_behind() -> bool:
    """Say whether an engine's thread still runs, so that the interpreter could not end in peace."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def _fail(future: Future[Any], sentence: str) -> None:
    with suppress(InvalidStateError):  # it has its answer already
        future.set_exception(EngineError(sentence))


def _load_failure(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"the package {error.name or 'of the model'} cannot be imported: install echochamber[engine]"
    from bot.engine.checkpoints import CheckpointError  # noqa: PLC0415 - loads torch, which the loader had to anyway

    if isinstance(error, EngineError | CheckpointError):
        return str(error)
    _log.error("the model cannot be loaded", exc_info=error)
    return f"the model cannot be loaded ({type(error).__name__})"
