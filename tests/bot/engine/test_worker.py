"""The engine's thread outlives what fails in it, and says so where it cannot. Over scripted decoders: no torch."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from queue import SimpleQueue

import pytest

from bot.engine.memory import Tidier
from bot.engine.protocol import EngineError
from bot.engine.worker import Job, Worker

SECRET = "what somebody said"


class Panic(BaseException):
    """Is no Exception, like those of Rust's libraries."""


class Task:
    """Is done after one step; says so to its decoder's list of what happened."""

    late = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = False


class ScriptedDecoder:
    """Raises, once each, what it was told to where it was told to; notes what it was asked for, and who waited then."""

    def __init__(self, **errors: BaseException) -> None:
        self.errors = errors
        self.noted: list[tuple[str, list[bool]]] = []
        self.futures: list[Future] = []
        self._tasks: list[Task] = []

    def begin(self, name: str) -> list[Task]:
        self._meet("begin")
        self._tasks.append(Task(name))
        return self._tasks[-1:]

    def step(self) -> None:
        self._meet("step")
        for task in self._tasks:
            task.done = True

    def drop(self, tasks: Sequence[Task]) -> None:
        self._meet("drop")

    def tidy(self) -> None:
        self._meet("tidy")

    def _meet(self, place: str) -> None:
        self.noted.append((place, [future.done() for future in self.futures]))
        if error := self.errors.pop(place, None):
            raise error


class Queue(SimpleQueue):
    """Gives what it holds, and then None, once there is nothing to do."""

    def get(self, block: bool = True, timeout: float | None = None):
        return None if block and self.empty() else super().get(block, timeout)


def job(decoder: ScriptedDecoder, name: str, error: BaseException | None = None) -> Job[str]:
    """Make a job that is answered with the name of its task."""

    def finish(tasks: Sequence[Task]) -> str:
        if error:
            raise error
        return tasks[0].name

    made: Job[str] = Job(lambda decoder: decoder.begin(name), finish)
    decoder.futures.append(made.future)
    return made


def worked(decoder: ScriptedDecoder, *jobs: Job[str]) -> Worker:
    """Let a worker do `jobs`, all of them together."""
    queue = Queue()
    for one in jobs:
        queue.put(one)
    worker = Worker(decoder, queue)
    worker.run()
    return worker


def failure(future: Future) -> str:
    error = future.exception(0)
    assert isinstance(error, EngineError)
    return str(error)


def test_a_failed_step_fails_its_requests_before_anything_is_freed(caplog):
    decoder = ScriptedDecoder(step=RuntimeError(SECRET), drop=RuntimeError(SECRET))
    worked(decoder, job(decoder, "a"), job(decoder, "b"))
    assert [failure(future) for future in decoder.futures] == ["the model failed (RuntimeError)"] * 2
    assert decoder.noted[-2:] == [("drop", [True, True])] * 2  # the first raised
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    told = caplog.records[-1]
    assert "RuntimeError" in str(told.msg)
    assert SECRET not in str(told.__dict__)


@pytest.mark.parametrize("place", ["drop", "tidy"])
def test_a_clean_up_that_fails_costs_no_answer(place):
    decoder = ScriptedDecoder(**{place: OSError(SECRET)})
    queue = Queue()
    queue.put(job(decoder, "a"))
    worker = Worker(decoder, queue)
    worker._tidier = Tidier(seconds=0)
    worker.run()
    assert not decoder.errors
    queue.put(job(decoder, "b"))
    worker.run()
    assert [future.result(0) for future in decoder.futures] == ["a", "b"]


def test_an_answer_that_cannot_be_read_fails_alone():
    decoder = ScriptedDecoder()
    worked(decoder, job(decoder, "a", ValueError(SECRET)), job(decoder, "b", EngineError("no time")), job(decoder, "c"))
    first, second, third = decoder.futures
    assert failure(first) == "the model failed (ValueError)"
    assert failure(second) == "no time"
    assert third.result(0) == "c"


@pytest.mark.parametrize("place", ["begin", "step", "drop", "finish"])
def test_whatever_ends_the_worker_nobody_in_hand_waits_for_ever(place):
    decoder = ScriptedDecoder(**{place: Panic(SECRET)})
    jobs = [job(decoder, name, decoder.errors.get("finish")) for name in "ab"]
    with pytest.raises(Panic):
        worked(decoder, *jobs)
    begun = decoder.futures[:1] if place == "begin" else decoder.futures
    assert all(future.done() for future in begun)
    if place != "drop":  # they had their answers
        assert {failure(future) for future in begun} == {"the engine stopped (Panic): restart the bot"}
