"""Serving, measured side by side: our engine, `model.generate` as plain bots call it, and other people's servers.

`python -m bench.serve --out OUT [--only ROW ...] [--rounds 3] [--threads N] [--llama-server URL] [--vllm URL]`, on
an idle machine. The model that ships answers conversations of ten turns with replies of 30 tokens, whatever it
would rather say. The sides take turns, each in a process of its own. Prints a table, and
writes it as OUT/serve.md with OUT/serve.json and OUT/growth.png. How to start the servers: README.md here.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import transformers

from bench.runs import say
from bench.serve import decode, growth, lag, memory, ranked, replies
from bench.serve.peers import PeerError
from bench.serve.picture import draw
from bench.serve.place import FULL, QUICK, Place
from bench.serve.sides import Asked, both_sides
from bench.serve.table import Row, as_json, markdown
from bench.serve.toy import toy_checkpoint
from bot.engine.shipped import shipped_checkpoint
from bot.settings import load_settings

MEASURES = {"replies": replies.measure, "ranked": ranked.measure, "decode": decode.measure, "lag": lag.measure}
ROWS = (*MEASURES, "memory", "growth")
_IDLE = 0.5


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    given = _parser().parse_args(words)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.threads:
        torch.set_num_threads(given.threads)
    began, load = time.perf_counter(), os.getloadavg()[0]
    if load > _IDLE and not given.quick:
        say(f"This machine is not idle (load {load:.1f}): the figures will not be those of an idle one.")
    with tempfile.TemporaryDirectory() as temporary:
        place = _place(given, Path(temporary))
        sizes = QUICK if given.quick else FULL
        asked = Asked(place, sizes, given.rounds, given.threads, given.llama_server, given.vllm, say)
        try:
            rows = asyncio.run(_measured(asked, given.only, given.out)) if set(given.only) - {"memory"} else []
        except PeerError as error:
            raise SystemExit(f"{error}: nothing was written") from error
        if "memory" in given.only:
            say("Memory, in a process of its own.")
            found = memory.in_a_process(place, is_quick=given.quick, threads=given.threads)
            rows += memory.rows(found, place.cache_mb)
        _report(rows, place, given, {"load_before": load, "seconds": time.perf_counter() - began})


async def _measured(asked: Asked, only: Sequence[str], out: Path) -> list[Row]:
    rows: list[Row] = []
    async with both_sides(asked) as bench:
        for name in (name for name in MEASURES if name in only):
            say(f"Measuring: {name}.")
            rows += await MEASURES[name](bench)
        points = await growth.conversations(bench) if "growth" in only else []
    if points:
        grown = growth.Growth(points, await growth.histories(asked), asked.sizes.at_once, asked.sizes.turns)
        draw(grown, out / "growth.png")
        rows += growth.rows(grown)
    return rows


def _place(given: argparse.Namespace, temporary: Path) -> Place:
    place = Place(given.model or shipped_checkpoint(), load_settings().cache_dir, given.context, given.precision)
    return replace(place, model=toy_checkpoint(temporary), cache=temporary) if given.quick else place


def _report(rows: Sequence[Row], place: Place, given: argparse.Namespace, took: dict[str, float]) -> None:
    """Print the table and where it was measured; write both."""
    about = {
        "model": place.model.name if place.model else "untouched base",
        "served_in": place.served,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "rounds": given.rounds,
        "context": place.context,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        **took,
    }
    told = (
        f"{about['model']} served in {about['served_in']}, {about['threads']} threads on {about['cores']} cores, "
        f"medians of {given.rounds} rounds, {took['seconds'] / 60:.1f} minutes, load before {took['load_before']:.1f}; "
        f"torch {about['torch']}, transformers {about['transformers']}."
    )
    text = f"{markdown(rows)}\n{told}\n"
    print(text)
    (given.out / "serve.md").write_text(text, encoding="utf-8")
    content = json.dumps({"about": about, "rows": as_json(rows)}, indent=1)
    (given.out / "serve.json").write_text(content + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--model", type=Path, help="a checkpoint folder; the one that ships where it is not given")
    parser.add_argument("--context", type=int, default=512, help="tokens of prompt and reply together")
    parser.add_argument("--precision", default="auto", help="what ours serves in; generate's is fp32")
    parser.add_argument("--llama-server", metavar="URL", help="llama.cpp's server on the same weights")
    parser.add_argument("--vllm", metavar="URL", help="vLLM on the same weights")
    parser.add_argument("--quick", action="store_true", help="a toy and few of everything: says that it runs")
    return parser


if __name__ == "__main__":
    main()
