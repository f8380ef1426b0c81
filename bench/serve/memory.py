"""Memory, in a process of its own: after loading, and with many known conversations; and how often one was known.

`python -m bench.serve.memory PLACE PLAN`, both JSON objects, prints what it found as JSON. The conversations
are short, and still more than the cache holds: the least recently used have to be computed again.
"""

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import psutil
import torch

from bench.serve.conversations import EXCHANGES, talks
from bench.serve.parties import Ours, our_engine
from bench.serve.place import FULL, QUICK, Place, Sizes
from bench.serve.table import Row
from bench.serve.workload import at_once
from persona.dialogue import Turn

ALLOWED = 500 * 10**6
_TURNS, _REPLY, _TOGETHER, _RECENT, _SEED = 2, 2, 16, 100, 0


def in_a_process(place: Place, *, is_quick: bool, threads: int | None) -> dict[str, Any]:
    """Let a process measure and return what it found; ends the program where it failed."""
    plan = json.dumps({"is_quick": is_quick, "threads": threads})
    words = [sys.executable, "-m", "bench.serve.memory", place.write(), plan]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit("the process that measures memory failed")
    return dict(json.loads(done.stdout.splitlines()[-1]))


class Scales:
    """Weighs this process; `most` is the heaviest it has been found."""

    def __init__(self) -> None:
        self._process = psutil.Process(os.getpid())
        self.most = 0

    def weigh(self) -> int:
        """Return the resident bytes."""
        held = int(self._process.memory_info().rss)
        self.most = max(self.most, held)
        return held


async def carry_out(place: Place, sizes: Sizes) -> dict[str, Any]:
    """Load, weigh, meet the conversations, let some return, and weigh again."""
    scales = Scales()
    async with our_engine(place, sizes) as ours:
        model = (await ours.engine.checkpoint()).model
        found: dict[str, Any] = {"weights": weights(model), "loaded": scales.weigh()}
        known = await _meet(ours, sizes.known, scales)
        met = ours.engine.stats()
        await _return(ours, known, sizes.returns, scales)
        back = ours.engine.stats()
    assert met is not None
    assert back is not None
    hit_rate = (back.found - met.found) / (back.asked - met.asked)
    return found | {"most": scales.most, "hit_rate": hit_rate, "cache": asdict(back), "known": sizes.known}


async def _meet(ours: Ours, count: int, scales: Scales) -> list[list[Turn]]:
    """Answer in `count` new conversations, 16 at once; return them with the replies."""
    new = [list(one.turns()) for one in itertools.islice(talks(ours.voice.persona.name, _TURNS), count)]
    for at in range(0, count, _TOGETHER):
        await _answer(ours, new[at : at + _TOGETHER])
        scales.weigh()
    return new


async def _return(ours: Ours, known: list[list[Turn]], count: int, scales: Scales) -> None:
    """Go on with known conversations, every second of them one of the last hundred."""
    drawn = random.Random(_SEED)
    for at in range(0, count, _TOGETHER):
        here = min(_TOGETHER, count - at, len(known))
        late = drawn.sample(range(max(0, len(known) - _RECENT), len(known)), here)
        any_time = drawn.sample(range(len(known)), here)
        chosen = {late[one] if one % 2 else any_time[one] for one in range(here)}
        asked = [known[one] for one in sorted(chosen)]
        for turns in asked:
            turns.append(Turn(turns[0].name, drawn.choice(EXCHANGES)[0]))
        await _answer(ours, asked)
        scales.weigh()


async def _answer(ours: Ours, asked: Sequence[list[Turn]]) -> None:
    timed = await at_once(ours, asked, _REPLY)
    for turns, said in zip(asked, timed.said, strict=True):
        turns.append(Turn(ours.voice.persona.name, said.text or "Hm."))


def rows(found: Mapping[str, Any], cache_mb: int) -> list[Row]:
    """Return what the process found as rows; `cache_mb`, in MiB, is the bound of the cache."""
    bound = cache_mb * 2**20
    goal = f"weights + 500 MB + {_megabytes(bound)} of cache"
    known = f"{found['known']:,} known conversations ({found['hit_rate']:.0%} of the tokens of those that return found)"
    return [
        Row(
            what,
            _megabytes(held),
            f"{_megabytes(found['weights'])} of weights, as served",
            "",
            goal,
            held <= found["weights"] + ALLOWED + bound,
            found,
        )
        for what, held in (("memory after loading", found["loaded"]), (f"most memory, {known}", found["most"]))
    ]


def weights(model: torch.nn.Module) -> int:
    """Return the bytes of a model's weights and buffers, shared ones once."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return sum({one.data_ptr(): one.nbytes for one in tensors}.values())


def _megabytes(size: float) -> str:
    return f"{size / 10**6:.0f} MB"


def main() -> None:
    """Carry out what the arguments say, and print what was found."""
    plan = json.loads(sys.argv[2])
    if plan["threads"]:
        torch.set_num_threads(plan["threads"])
    print(json.dumps(asyncio.run(carry_out(Place.read(sys.argv[1]), QUICK if plan["is_quick"] else FULL))))


if __name__ == "__main__":
    main()
