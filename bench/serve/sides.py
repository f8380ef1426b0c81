"""Both sides, loaded from the same checkpoint: our engine as it serves, and the others beside it."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.serve.conversations import Talk, talks
from bench.serve.parties import Generate, Ours, Party, our_engine, plain_generate
from bench.serve.peers import servers
from bench.serve.place import Place, Sizes


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured: where, how much, how often, on how many threads; and the other servers' addresses."""

    place: Place
    sizes: Sizes
    rounds: int
    threads: int | None
    llama: str | None
    vllm: str | None
    tell: Callable[[str], None]


@dataclass
class Bench:
    """Everything that a measurement needs. `peers` may be empty."""

    asked: Asked
    ours: Ours
    generate: Generate
    peers: Sequence[Party]
    _talks: dict[int, Iterator[Talk]] = field(default_factory=dict)

    @property
    def sizes(self) -> Sizes:
        """Return how much is asked."""
        return self.asked.sizes

    def talks(self, count: int, turns: int | None = None) -> list[Talk]:
        """Return conversations that nobody has seen yet."""
        turns = self.sizes.turns if turns is None else turns
        named = self._talks.setdefault(turns, talks(self.ours.voice.persona.name, turns))
        return list(itertools.islice(named, count))


@asynccontextmanager
async def both_sides(asked: Asked) -> AsyncIterator[Bench]:
    """Open everything; close it afterwards.

    In this process the engine's thread alone computes: a second pool of threads would slow it down.
    """
    place = asked.place
    async with our_engine(place, asked.sizes) as ours:
        room = place.room(asked.sizes.reply)
        async with plain_generate(place, ours.voice, room, asked.threads) as generate:
            yield Bench(asked, ours, generate, servers(asked.llama, asked.vllm, ours.voice))
