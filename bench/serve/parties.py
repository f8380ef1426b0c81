"""Who answers: our engine, and `model.generate` in a process of its own, behind one small protocol."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from bench.serve.place import Place, Sizes
from bot.engine.local import LocalEngine
from bot.engine.protocol import GenerateRequest, Sampling
from persona.characters import Persona, find_persona
from persona.dialogue import Scene, Turn
from persona.screenplay import Screenplay

_LONGEST_LINE = 2**24


@dataclass(frozen=True, slots=True)
class Said:
    """A reply: its first line, and how many tokens were decoded in all."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks, in which format, drawn how: the same for everybody."""

    persona: Persona
    screenplay: Screenplay
    sampling: Sampling


class Party(Protocol):
    """Whoever answers in a conversation."""

    name: str

    async def reply(self, turns: Sequence[Turn], longest: int) -> Said:
        """Answer the last of `turns` with `longest` tokens."""
        ...


class Ours:
    """Our engine, one candidate a reply; without a seed, with which it would compute every prompt anew."""

    name = "ours"

    def __init__(self, engine: LocalEngine, voice: Voice) -> None:
        self.engine = engine
        self.voice = voice

    async def reply(self, turns: Sequence[Turn], longest: int) -> Said:
        """Answer through the engine's queue."""
        voice = self.voice
        asked = GenerateRequest(Scene(tuple(turns)), voice.persona, 1, voice.sampling, longest)
        [candidate] = await self.engine.generate(asked)
        return Said(first_line(candidate.text), candidate.tokens)


class Generate:
    """transformers' `generate`, one message at a time: the whole prompt is computed for each.

    `room` bounds the prompt in tokens, as the engine's context does there.
    """

    name = "generate"

    def __init__(self, process: asyncio.subprocess.Process, parameters: int, voice: Voice, room: int) -> None:
        self._process = process
        self.parameters = parameters
        self._voice = voice
        self._room = room
        self._one = asyncio.Lock()

    async def reply(self, turns: Sequence[Turn], longest: int) -> Said:
        """Answer when those before are done."""
        voice = self._voice
        prompt = voice.screenplay.prompt(turns, voice.persona.name, self._room)
        drawn = [voice.sampling.temperature, voice.sampling.top_p]
        said = (await self._told({"prompt": prompt, "longest": longest, "sampling": drawn}))["said"]
        return Said(first_line(voice.screenplay.tokenizer.decode(said)), len(said))

    async def bandwidth(self, megabytes: int) -> dict[str, float]:
        """Return the bytes a second at which that process reads memory, by way of reading."""
        return dict(await self._told({"megabytes": megabytes}))

    async def _told(self, asked: dict[str, Any]) -> Any:
        async with self._one:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            return await answer_of(self._process)


async def answer_of(process: asyncio.subprocess.Process) -> Any:
    """Return the next line that a process says; ends the program where it ended instead."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise SystemExit("the process of the other side ended before it answered")
    return json.loads(line)


@asynccontextmanager
async def our_engine(place: Place, sizes: Sizes) -> AsyncIterator[Ours]:
    """Open our engine with replies of one length; close it afterwards."""
    engine = LocalEngine(place.load, queue_size=4 * max(sizes.counts), context=place.context, cache_mb=place.cache_mb)
    try:
        loaded = await engine.checkpoint()
        _never_ending(engine)
        yield Ours(engine, Voice(find_persona("joey", loaded.personas), loaded.screenplay, sizes.sampling))
    finally:
        await engine.aclose()


@asynccontextmanager
async def plain_generate(place: Place, voice: Voice, room: int, threads: int | None) -> AsyncIterator[Generate]:
    """Start the process that calls `generate`; end it afterwards."""
    words = ["-m", "bench.serve.plain", place.write(), *([str(threads)] if threads else [])]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=pipe, stdout=pipe, limit=_LONGEST_LINE)
    try:
        yield Generate(process, (await answer_of(process))["parameters"], voice, room)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def first_line(text: str) -> str:
    """Return what was said before the first line break: behind its end of turn a reply begins another."""
    return re.split(r"[\r\n]", text.strip(), maxsplit=1)[0].strip()


def _never_ending(engine: LocalEngine) -> None:
    """Let no token end a reply, as servers do that are asked to `ignore_eos`.

    What is said behind an end of turn is noise that costs what any token costs.
    """
    assert engine._decoder is not None
    engine._decoder._ends = frozenset()
