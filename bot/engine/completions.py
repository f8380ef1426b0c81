"""An OpenAI-compatible server over HTTP: timeouts, retries with back-off, a circuit breaker, errors in sentences.

What a server says in an error stays unsaid: it may quote a prompt, or the key.
"""

import math
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2
from interlock import CircuitBreaker, CircuitOpenError, Clock, Config
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential_jitter,
)

from bot.engine.answers import Answer, read_answer, read_error_code, read_models
from bot.engine.protocol import Busy, EngineError

ATTEMPTS = 4
_LONGEST_PAUSE = 10.0  # a server that wants to be left alone for longer gets what it wants
_back_off = wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.2)
_TEMPORARY = frozenset({502, 503, 504})
_NOT_UNDERSTOOD = frozenset({400, 404, 405, 413, 415, 422, 500, 501})
# Half of the last ten failed: for ten seconds nobody waits for this server, then one request tries it.
_BREAKER = Config(
    window_size=10,
    minimum_number_of_calls=5,
    failure_rate_threshold=0.5,
    wait_duration_in_open=10.0,
    permitted_calls_in_half_open=1,
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Server:
    """An OpenAI-compatible server. `url` may end in `/v1` or not; `seconds` is the longest wait for an answer."""

    url: str
    model: str | None = None
    key: str | None = field(default=None, repr=False)
    seconds: float = 60.0

    @property
    def root(self) -> str:
        """Return the address that `/health` and `/v1` are appended to."""
        return self.url.rstrip("/").removesuffix("/v1").rstrip("/")

    @property
    def place(self) -> str:
        """Return the address as people may see it: no login, no path, no query."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{re.split('[/?#]', rest)[0].rpartition('@')[2]}"


class RefusedError(EngineError):
    """The server refused this very request; asking again would not help. `status` is HTTP's."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class UnreachableError(EngineError):
    """The server cannot answer now. `again`: at once it may; `pause`: after that many seconds, it says."""

    def __init__(self, sentence: str, status: int | None = None, *, again: bool, pause: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.again = again
        self.pause = pause


class _FullError(Busy):
    def __init__(self, sentence: str, pause: float | None) -> None:
        super().__init__(sentence)
        self.pause = pause


class CompletionsClient:
    """Asks one server. `clock` is the circuit breaker's."""

    def __init__(self, server: Server, clock: Clock | None = None) -> None:
        self._server = server
        self._breaker = CircuitBreaker(name="engine", config=_BREAKER, classifier=_OutOfReach(), clock=clock)
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {server.key}"} if server.key else {},
            timeout=httpx2.Timeout(server.seconds, connect=min(5.0, server.seconds), pool=None),
            limits=httpx2.Limits(max_connections=64, max_keepalive_connections=16),
        )

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[None]:
        """Let the block in while the server answers, and watch how it ends; raises EngineError without waiting."""
        try:
            async with self._breaker:
                yield
        except CircuitOpenError as error:
            when = "now" if error.retry_after is None else f"in {math.ceil(error.retry_after)} s"
            raise EngineError(
                f"the server at {self._server.place} did not answer lately; it is tried again {when}"
            ) from None

    async def wait_until_loaded(self) -> None:
        """Wait while the server says that it loads its model; raises EngineError where it is out of reach."""

        def enough(state: RetryCallState) -> bool:
            loading = getattr(_error(state), "status", None) == 503
            return stop_after_delay(self._server.seconds)(state) if loading else _enough(state)

        try:
            await self._patiently("GET", "/health", stop=enough)
        except RefusedError:
            return  # a server without /health

    async def models(self) -> dict[str, int | None]:
        """Return the server's models, with the context of each where it is told; none where it keeps no list."""
        try:
            response = await self._patiently("GET", "/v1/models", stop=_enough)
        except (RefusedError, UnreachableError) as error:
            if error.status in _NOT_UNDERSTOOD:  # `transformers serve` fails where it has no cache to list
                return {}
            raise
        return self._read(response, read_models)

    async def complete(self, body: dict[str, Any]) -> Answer:
        """Post a completion; raises RefusedError, UnreachableError, or Busy where the server is full."""
        return self._read(await self._patiently("POST", "/v1/completions", body, stop=_enough), read_answer)

    async def understood(self, body: dict[str, Any]) -> Answer | None:
        """Post a completion; None where the server does not understand it."""
        try:
            return await self.complete(body)
        except (RefusedError, UnreachableError) as error:
            if error.status in _NOT_UNDERSTOOD:
                return None
            raise

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _patiently(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, stop: Callable[[RetryCallState], bool]
    ) -> httpx2.Response:
        retrying = AsyncRetrying(retry=retry_if_exception(_worth_again), wait=_pause, stop=stop, reraise=True)
        response: httpx2.Response = await retrying(self._attempt, method, path, body)
        return response

    async def _attempt(self, method: str, path: str, body: dict[str, Any] | None) -> httpx2.Response:
        place = self._server.place
        try:
            response = await self._http.request(method, self._server.root + path, json=body)
        except (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ConnectTimeout) as error:
            raise UnreachableError(
                f"the server at {place} is out of reach ({type(error).__name__}): is it up, and is ENGINE_URL right?",
                again=True,
            ) from None
        except httpx2.TimeoutException:
            raise UnreachableError(
                f"the server at {place} did not answer within {self._server.seconds:g} s (ENGINE_SECONDS)", again=False
            ) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise UnreachableError(
                f"the server at {place} cannot be asked ({type(error).__name__}): is ENGINE_URL right?", again=False
            ) from None
        if not response.is_success:
            raise self._failure(response)
        return response

    def _failure(self, response: httpx2.Response) -> EngineError:
        place, status, pause = self._server.place, response.status_code, _retry_after(response)
        if status == 429:
            return _FullError(f"the server at {place} has too many requests in hand", pause)
        if status >= 500:
            sentence = f"the server at {place} cannot answer now ({_told(response)})"
            return UnreachableError(sentence, status, again=status in _TEMPORARY, pause=pause)
        if status in {401, 403}:
            key = "refuses the key in" if self._server.key else "asks for a key: set"
            return RefusedError(f"the server at {place} {key} ENGINE_KEY ({status})", status)
        if status < 400:
            return RefusedError(f"the server at {place} is somewhere else ({status}): is ENGINE_URL right?", status)
        return RefusedError(f"the server at {place} refused a request ({_told(response)})", status)

    def _read(self, response: httpx2.Response, read: Callable[[Any], _T]) -> _T:
        try:
            return read(response.json())
        except ValueError:  # AnswerError, and what json and codecs raise
            raise EngineError(
                f"what answers at {self._server.place} is not an OpenAI-compatible server; is ENGINE_URL right?"
            ) from None


class _OutOfReach:
    """What the circuit breaker counts: that the server is out of reach, not that it refuses or is full."""

    def is_failure(self, *, result: object, exception: Exception | None) -> bool:
        return isinstance(exception, UnreachableError)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


_enough = stop_after_attempt(ATTEMPTS)


def _worth_again(error: BaseException) -> bool:
    if not isinstance(error, _FullError | UnreachableError) or (error.pause or 0.0) > _LONGEST_PAUSE:
        return False
    return isinstance(error, _FullError) or error.again


def _pause(state: RetryCallState) -> float:
    told: float | None = getattr(_error(state), "pause", None)
    return _back_off(state) if told is None else told


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds of a `Retry-After` header, which may be a number or a date (RFC 9110, 10.2.3)."""
    told = response.headers.get("Retry-After", "")
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None


def _told(response: httpx2.Response) -> str:
    try:
        code = read_error_code(response.json())
    except ValueError:
        code = None
    return f"{response.status_code} {code}" if code else str(response.status_code)
