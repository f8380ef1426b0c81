"""The engine's thread: takes jobs, computes them together step by step, and answers each when it is done.

Importing this module loads no torch: the thread does.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bot import logs
from bot.engine.memory import Tidier
from bot.engine.protocol import EngineError

if TYPE_CHECKING:
    from bot.engine.decoding import Decoder
    from bot.engine.tasks import Generation, Scoring

_log = logs.logger("engine")
_T = TypeVar("_T")


@dataclass(eq=False)
class Job(Generic[_T]):
    """Something asked for. `begin` makes its tasks in the engine's thread, `finish` reads the answer off them."""

    begin: "Callable[[Decoder], Sequence[Generation | Scoring]]"
    finish: "Callable[[Any], _T]"
    future: Future[_T] = field(default_factory=Future)
    given_up: threading.Event = field(default_factory=threading.Event)
    tasks: "Sequence[Generation | Scoring]" = ()

    @property
    def over(self) -> bool:
        """Say whether there is nothing more to compute: all done, out of time, or nobody waits."""
        return self.given_up.is_set() or all(task.done or task.late for task in self.tasks)


class Worker:
    """Works with `decoder` on the jobs of a queue until it finds None there."""

    def __init__(self, decoder: "Decoder", jobs: "SimpleQueue[Job[Any] | None]") -> None:
        self._decoder = decoder
        self._jobs = jobs
        self._going: list[Job[Any]] = []
        self._tidier = Tidier()

    def run(self) -> None:
        """Work until told to leave; what is still in hand then is answered as far as it came.

        Whatever ends the work early is raised, once everybody in hand has been told.
        """
        try:
            while self._let_in():
                self._answer([job for job in self._going if job.over])
                if self._going:
                    self._step()
                    self._answer([job for job in self._going if job.over])
            self._answer(list(self._going))
        except BaseException as error:  # Rust's panics are no Exceptions
            for job in self._going:
                fail(job.future, stopped(error))
            raise

    def _let_in(self) -> bool:
        """Begin every job that waits, waiting for one where there is nothing to do; say whether to go on."""
        with _survived():
            if self._tidier.tidy():
                self._decoder.tidy()
        try:
            while (job := self._jobs.get(block=not self._going)) is not None:
                if job.future.set_running_or_notify_cancel():
                    self._begin(job)
        except Empty:
            return True
        return False

    def _begin(self, job: Job[Any]) -> None:
        self._going.append(job)
        try:
            job.tasks = job.begin(self._decoder)
        except Exception as error:  # one failed reply must not take the thread with it
            fail(job.future, _sentence(error))
            self._forget([job])

    def _step(self) -> None:
        try:
            self._decoder.step()
        except Exception as error:  # likewise
            sentence = _sentence(error)
            for job in self._going:
                fail(job.future, sentence)
            self._forget(list(self._going))

    def _answer(self, jobs: Sequence[Job[Any]]) -> None:
        for job in jobs:
            try:
                job.future.set_result(job.finish(job.tasks))
            except Exception as error:  # likewise
                fail(job.future, _sentence(error))
        self._forget(jobs)

    def _forget(self, jobs: Sequence[Job[Any]]) -> None:
        """Free what jobs took, after their futures are done: what failed once, as a GPU, may fail here again."""
        for job in jobs:
            self._going.remove(job)
            with _survived():
                self._decoder.drop(job.tasks)


@contextmanager
def _survived() -> Iterator[None]:
    """Tell what a clean-up raises, by its type only, and go on."""
    try:
        yield
    except Exception as error:
        _log.error("cleaning up failed", error=type(error).__name__)


def fail(future: Future[Any], sentence: str) -> None:
    """Fail a future with an EngineError, unless it has its answer already."""
    with suppress(InvalidStateError):
        future.set_exception(EngineError(sentence))


def stopped(error: BaseException) -> str:
    """Return what everybody is told from now on, who waits and who comes, where the thread's work has ended."""
    return f"the engine stopped ({type(error).__name__}): restart the bot"


def _sentence(error: Exception) -> str:
    if isinstance(error, EngineError):
        return str(error)
    _log.error("the model failed", exc_info=error)
    return f"the model failed ({type(error).__name__})"
