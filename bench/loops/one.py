"""One loop: `python -m bench.loops.one generate|padded|transformers|ours THREADS` prints replies a minute as JSON."""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig

from bot.engine.checkpoints import load_checkpoint
from bot.engine.local import LocalEngine
from bot.engine.protocol import GenerateRequest, Sampling
from bot.engine.shipped import shipped_checkpoint
from bot.settings import load_settings
from persona.characters import friends
from persona.dialogue import Scene, Turn

PROMPTS, PROMPT_TOKENS, NEW = 16, 190, 30
DRAWN = {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "top_k": 0, "max_new_tokens": NEW, "min_new_tokens": NEW}


def rate(work: Callable[[], object], replies: int) -> float:
    """Return replies a minute, the best of two after a first that warms up."""
    work()
    times = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 60 * replies / min(times)


def ids() -> torch.Tensor:
    """Return other prompts at every call, so that nothing is cached."""
    return torch.randint(100, 40_000, (PROMPTS, PROMPT_TOKENS))


def loaded(precision: str) -> Any:
    """Load the model that ships."""
    return load_checkpoint(shipped_checkpoint(), cache=load_settings().cache_dir, precision=precision)


@torch.inference_mode()
def generate(precision: str, at_once: int) -> float:
    """Return the rate of `generate`, so many prompts at once."""
    model = loaded(precision).model
    config = GenerationConfig(**DRAWN, pad_token_id=0)  # type: ignore[no-untyped-call]

    def work() -> None:
        prompts = ids()[:at_once]
        model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=config)

    return rate(work, at_once)


@torch.inference_mode()
def batched() -> float:
    """Return the rate of transformers' own continuous batching, its cache given explicitly."""
    model = loaded("bf16").model
    config = GenerationConfig(**(DRAWN | {"min_new_tokens": 0}), eos_token_id=-1, pad_token_id=0)  # type: ignore[no-untyped-call]
    batching = ContinuousBatchingConfig(
        num_blocks=256, page_size=32, max_batch_tokens=512, use_async_batching=False, use_cuda_graph=False
    )

    def work() -> None:
        done = model.generate_batch(
            inputs=ids().tolist(),
            generation_config=config,
            continuous_batching_config=batching,
            progress_bar=False,
            warmup=False,
        )
        lengths = [len(one.generated_tokens) for one in done.values()]
        if lengths != [NEW] * PROMPTS:
            raise SystemExit(f"not the replies that were asked for: {lengths}")

    return rate(work, PROMPTS)


async def ours() -> float:
    """Return the rate of the engine, every conversation a new one, no reply ended before its time."""
    words = (
        "the",
        "of",
        "my",
        "day",
        "cat",
        "house",
        "work",
        "coffee",
        "what",
        "do",
        "you",
        "think",
        "never",
        "really",
    )
    engine = LocalEngine(lambda: loaded("auto"), queue_size=2 * PROMPTS)
    found = []
    await engine.ready()
    endless = engine._decoder
    if endless is None:
        raise SystemExit("the engine has no model")
    endless._ends = frozenset()
    for number in range(3):
        drawn = random.Random(number)
        asks = []
        for _ in range(PROMPTS):
            turns = (Turn("Sam", " ".join(drawn.choices(words, k=13)) + ".") for _ in range(10))
            asks.append(GenerateRequest(Scene(tuple(turns)), friends()[0], 1, Sampling(0.8, 0.9), NEW))
        start = time.perf_counter()
        await asyncio.gather(*map(engine.generate, asks))
        found.append(60 * PROMPTS / (time.perf_counter() - start))
    await engine.aclose()
    return max(found[1:])


def main() -> None:
    """Measure one loop and print it."""
    loop, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    loops: dict[str, Callable[[], float]] = {
        "generate": lambda: generate("fp32", 1),
        "padded": lambda: generate("bf16", PROMPTS),
        "transformers": batched,
        "ours": lambda: asyncio.run(ours()),
    }
    print(json.dumps({loop: loops[loop]()}))


if __name__ == "__main__":
    main()
