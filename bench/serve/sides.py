"""Both sides, loaded from the same checkpoint: our engine as it serves, and the plain way beside it."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.serve.conversations import Talk, talks
from bench.serve.parties import Generate, Ours, Party
from bench.serve.peers import servers
from bench.serve.unending import unending
from bot.engine.checkpoints import LoadedCheckpoint, choose_device, load_checkpoint
from bot.engine.local import LocalEngine
from bot.engine.precision import choose_precision
from bot.engine.protocol import Sampling
from persona.characters import Persona, find_persona


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked. Lengths are in tokens, `turns` and `histories` in turns before the new message.

    `plain` messages a round are put to `generate`, as many to ours one by one, `ranked` to the chooser.
    """

    at_once: int = 16
    plain: int = 8
    ranked: int = 4
    turns: int = 10
    reply: int = 30
    reply_before: int = 12
    candidates: int = 8
    counts: Sequence[int] = (1, 4, 16, 64)
    histories: Sequence[int] = (2, 10, 40)
    known: int = 1000
    returns: int = 200
    megabytes: int = 1024
    sampling: Sampling = field(default_factory=Sampling)


FULL = Sizes()
QUICK = Sizes(
    at_once=3, plain=1, ranked=1, turns=2, reply=4, reply_before=2, candidates=2, counts=(1, 3), histories=(2, 4),
    known=12, returns=6, megabytes=8, sampling=Sampling(temperature=0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """What is measured and where: the checkpoint's folder (None: the untouched base) and the cache's.

    `precision` is what our engine is asked to serve in.
    """

    model: Path | None
    cache: Path
    context: int = 512
    precision: str = "auto"

    def load(self, precision: str | None = None) -> LoadedCheckpoint:
        """Load the checkpoint as the bot does, in another precision where one is given."""
        return load_checkpoint(self.model, cache=self.cache, precision=precision or self.precision)

    def served(self) -> str:
        """Return the number format that our engine serves in."""
        return str(choose_precision(choose_device("auto"), self.cache, self.precision).dtype).removeprefix("torch.")

    def room(self, longest: int) -> int:
        """Return the tokens that the engine leaves a prompt before a reply of `longest`."""
        return self.context - max(longest, self.context // 4)


@dataclass
class Bench:
    """Everything that a measurement needs. `peers` may be empty."""

    place: Place
    sizes: Sizes
    rounds: int
    ours: Ours
    generate: Generate
    peers: Sequence[Party]
    personas: Sequence[Persona]
    tell: Callable[[str], None]
    _talks: dict[int, Iterator[Talk]] = field(default_factory=dict)

    def talks(self, count: int, turns: int | None = None) -> list[Talk]:
        """Return conversations that nobody has seen yet."""
        turns = self.sizes.turns if turns is None else turns
        named = self._talks.setdefault(turns, talks(self.ours.persona.name, turns))
        return list(itertools.islice(named, count))


def cache_stats(engine: LocalEngine) -> dict[str, int]:
    """Return what the engine's cache has counted: prompt tokens asked for and found, blocks dropped, bytes held."""
    stats = engine.stats()
    assert stats is not None
    return asdict(stats)


@asynccontextmanager
async def our_engine(place: Place, sizes: Sizes) -> AsyncIterator[Ours]:
    """Open our engine with replies of one length; close it afterwards."""
    engine = LocalEngine(lambda: unending(place.load()), queue_size=4 * max(sizes.counts), context=place.context)
    try:
        checkpoint = await engine.checkpoint()
        yield Ours(engine, find_persona("joey", checkpoint.personas), sizes.sampling)
    finally:
        await engine.aclose()


@asynccontextmanager
async def both_sides(
    place: Place, sizes: Sizes, rounds: int, peers: tuple[str | None, str | None], tell: Callable[[str], None]
) -> AsyncIterator[Bench]:
    """Load both sides; `peers` are the addresses of llama.cpp's server and of vLLM."""
    async with our_engine(place, sizes) as ours:
        plain = place.load("fp32")
        voice = (plain.screenplay, ours.persona.name)
        found = servers(*peers, voice, sizes.sampling)
        generate = Generate(plain, ours.persona, sizes.sampling, place.room(sizes.reply))
        yield Bench(place, sizes, rounds, ours, generate, found, plain.personas, tell)
