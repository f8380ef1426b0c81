"""The engine that asks an OpenAI-compatible server: vLLM, llama.cpp's, `transformers serve`.

Prompts are rendered here, in the format the model was trained with, and go to `/v1/completions`.
Nothing is streamed: a reply whose time runs out comes back empty. Loads a tokenizer and no weights.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bot.engine.answers import Answer
from bot.engine.completions import CompletionsClient, RefusedError, Server, UnreachableError
from bot.engine.dialect import Dialect, read_candidate
from bot.engine.local import THREAD
from bot.engine.probing import learn_dialect
from bot.engine.protocol import (
    SCORES_A_REPLY,
    Abilities,
    Busy,
    Candidate,
    EngineError,
    GenerateRequest,
    ScoreRequest,
)
from bot.engine.script import load_screenplay_only
from bot.inhand import GivenUpError, InHand
from persona.screenplay import Screenplay

CANDIDATES = 8
_TOO_LATE = "there was no time left to score the replies"

_T = TypeVar("_T")


class _Voice(NamedTuple):
    screenplay: Screenplay
    dialect: Dialect


class RemoteEngine:
    """Keeps the contract of `bot.engine.protocol.ReplyEngine` with a server that somebody else runs.

    `load` is called once, in a thread of its own. At most `queue_size` requests for
    replies are in hand, and `SCORES_A_REPLY` times as many for scores.
    `context` bounds prompt and reply, in tokens; so does the server's own. A server that lets a
    deadline pass which was `patience` seconds off counts as out of reach.
    """

    def __init__(
        self,
        server: Server,
        load: Callable[[], Screenplay],
        *,
        queue_size: int = 32,
        context: int = 512,
        patience: float = 5.0,
    ) -> None:
        self._server = server
        self._load = load
        self._queue_size = queue_size
        self._context = context
        self._patience = patience
        self._client = CompletionsClient(server)
        self._in_hand, self._scores_in_hand = InHand(), InHand()
        self._getting_ready = InHand()
        self._loaded: Future[Screenplay] | None = None
        self._learning: asyncio.Task[_Voice] | None = None
        self._known: _Voice | None = None
        self._closed = False

    async def ready(self) -> Abilities:
        """Find out once what the server can do, and return it; raises EngineError."""
        if self._closed:
            raise EngineError("the engine is closed")
        dialect = (await _done(self._getting_ready, self._voice())).dialect
        return Abilities(dialect.logprobs, dialect.scores, CANDIDATES, dialect.notice)

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        """Return `request.n` candidates, empty ones where time ran out; raises Busy or EngineError."""
        self._let_in(self._in_hand, self._queue_size)
        found = await _done(self._in_hand, self._within(request.deadline, lambda: self._generate(request)))
        return [self._late()] * request.n if found is None else found

    async def score(self, request: ScoreRequest) -> list[float]:
        """Return the natural log-probability of each reply and its end of turn; raises Busy or EngineError."""
        self._let_in(self._scores_in_hand, SCORES_A_REPLY * self._queue_size)
        found = await _done(self._scores_in_hand, self._within(request.deadline, lambda: self._score(request)))
        if found is None:
            raise EngineError(_TOO_LATE)
        return found

    async def aclose(self) -> None:
        """Give up what is in hand, whose waiters get an EngineError, and close the connections."""
        self._closed = True
        if self._learning:
            self._learning.cancel()
            await asyncio.wait([self._learning])
        await self._getting_ready.finish()
        await self._in_hand.finish()
        await self._scores_in_hand.finish()
        await self._client.aclose()

    def _let_in(self, in_hand: InHand, most: int) -> None:
        if self._closed:
            raise EngineError("the engine is closed")
        if len(in_hand) >= most:
            raise Busy("too many replies are in hand")

    def _late(self) -> Candidate:
        told = self._known is None or self._known.dialect.logprobs
        return Candidate("", 0.0 if told else None, 0, "deadline")

    async def _within(self, deadline: float | None, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T | None:
        """Do the work, unless the server is known to be out of reach; None where the deadline came first."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return None
        try:
            async with self._client.guarded():
                try:
                    async with asyncio.timeout(left):
                        return await work()
                except TimeoutError:
                    if left is not None and left >= self._patience:
                        raise _HungError(f"the server at {self._server.place} hangs", again=False) from None
        except _HungError:
            pass
        except RefusedError:
            self._known = None  # another server may have taken its place
            raise
        return None

    async def _generate(self, request: GenerateRequest) -> list[Candidate]:
        screenplay, dialect = await self._voice()
        longest = min(request.longest, self._room(dialect) // 2)
        prompt = _prompt(screenplay, request, longest, self._room(dialect))
        body = dialect.completion(screenplay, prompt, request.sampling, longest)
        firsts = range(0, request.n, dialect.at_once)
        sizes = [min(dialect.at_once, request.n - first) for first in firsts]
        bodies = [body | {"n": n} | _seed(request.seed, first) for first, n in zip(firsts, sizes, strict=True)]
        if dialect.one_generator and request.seed is not None:
            answers = [await self._client.complete(one) for one in bodies]
        else:
            answers = await _together(map(self._client.complete, bodies))
        if any(len(answer.choices) < size for answer, size in zip(answers, sizes, strict=True)):
            raise EngineError(f"the server at {self._server.place} gave fewer candidates than it was asked for")
        return [
            read_candidate(screenplay, choice, answer.completion_tokens if size == 1 else None)
            for answer, size in zip(answers, sizes, strict=True)
            for choice in answer.choices[:size]
        ]

    async def _score(self, request: ScoreRequest) -> list[float]:
        screenplay, dialect = await self._voice()
        if not dialect.scores:
            raise EngineError(f"the server at {self._server.place} cannot score replies")
        said = [screenplay.said(reply) for reply in request.replies]
        prompt = _prompt(screenplay, request, max(map(len, said), default=0), self._room(dialect))
        answers = await _together(self._client.complete(dialect.echo(screenplay, prompt + reply)) for reply in said)
        return [
            self._echoed(dialect, answer, len(prompt), len(reply)) for answer, reply in zip(answers, said, strict=True)
        ]

    def _echoed(self, dialect: Dialect, answer: Answer, prompt: int, reply: int) -> float:
        found = dialect.echoed(answer, prompt, reply)
        if found is None:
            raise EngineError(f"the server at {self._server.place} reads a reply as other tokens than we do")
        return sum(found)

    def _room(self, dialect: Dialect) -> int:
        return min(self._context, dialect.context or self._context)

    async def _voice(self) -> _Voice:
        """Return what is known of the server; whoever comes first finds it out for all, and after a failure again."""
        if self._known:
            return self._known
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn())
            self._learning.add_done_callback(lambda done: done.cancelled() or done.exception())  # none may wait
        return await asyncio.shield(self._learning)

    async def _learn(self) -> _Voice:
        if self._loaded is None:
            self._loaded = _in_a_thread(self._load)
        screenplay = await asyncio.shield(asyncio.wrap_future(self._loaded))
        self._known = _Voice(screenplay, await learn_dialect(self._client, self._server, screenplay))
        return self._known


class _HungError(UnreachableError):
    """For the circuit breaker only: a deadline passed that was not short."""


def remote_engine(
    server: Server, folder: Path | None, *, cache: Path, tell: Callable[[str], None], queue_size: int = 32
) -> RemoteEngine:
    """Make the engine for a server that runs the checkpoint in `folder`, or the untouched embedded base.

    `cache` is where bases are unpacked, which is only looked into where `folder` holds no tokenizer.
    """
    return RemoteEngine(server, lambda: load_screenplay_only(folder, cache, tell), queue_size=queue_size)


async def _done(pile: InHand, work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return await pile.do(work)
    except GivenUpError:
        raise EngineError("the engine was closed before it could answer") from None


async def _together(requests: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Send all at once; where one fails, give up the others and raise what it raised."""
    try:
        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(one) for one in requests]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [one.result() for one in sent]


def _in_a_thread(load: Callable[[], _T]) -> Future[_T]:
    """Load in a daemon thread: it cannot be interrupted, and must not keep the process from leaving."""
    future: Future[_T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(load())
        except Exception as error:  # for whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name=THREAD, daemon=True).start()
    return future


def _prompt(screenplay: Screenplay, request: GenerateRequest | ScoreRequest, longest: int, room: int) -> list[int]:
    left = room - max(longest, room // 4)  # a quarter stays free, so that every reply is scored behind the same prompt
    if left <= 2 * len(screenplay.header(request.persona.name)):
        raise EngineError(f"a reply of {longest} tokens leaves no room for a prompt in {room}")
    return screenplay.prompt(request.conversation.turns, request.persona.name, left)


def _seed(seed: int | None, first: int) -> dict[str, int]:
    """Return the field of a seed for the candidates from `first` on: 31 bits, which every server takes."""
    if seed is None:
        return {}
    digest = hashlib.blake2b(f"{seed} {first}".encode(), digest_size=4).digest()
    return {"seed": int.from_bytes(digest) >> 1}
