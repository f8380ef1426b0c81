"""The plain way, in a process of its own: `model.generate` in fp32, one message at a time.

Two engines in one process would share their pools of threads and slow each other down. `python -m
bench.serve.plain PLACE [THREADS]` takes a JSON object a line and answers each with another: `{"prompt":
ids, "longest": n, "sampling": [temperature, top_p]}` with `{"said": ids}`, `{"megabytes": n}` with bytes a second
by way of reading memory.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig

from bench.serve.place import Place

_COLUMNS, _TIMES, _MIB = 4096, 5, 2**20


class Plain:
    """A model and transformers' `generate`."""

    def __init__(self, place: Place) -> None:
        loaded = place.load("fp32")
        self.model = loaded.model
        self._pad = loaded.screenplay.end_id
        # What a base's own file wishes for (a penalty, a top-k) would be work that nobody else does.
        self.model.generation_config = GenerationConfig()

    def reply(self, prompt: list[int], longest: int, temperature: float, top_p: float) -> list[int]:
        """Return `longest` tokens; without an end-of-sequence token it never stops early."""
        drawn: dict[str, Any] = {"do_sample": False}
        if temperature > 0:
            drawn = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
        ids = torch.tensor([prompt], device=self.model.device)
        config = GenerationConfig(**drawn, max_new_tokens=longest, pad_token_id=self._pad)
        with torch.inference_mode():
            output = self.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
        said: list[int] = output[0, len(prompt) :].tolist()
        return said


def parameters(model: torch.nn.Module) -> int:
    """Return the number of weights; those that are used twice (tied embeddings) count once."""
    return sum({one.data_ptr(): one.numel() for one in model.parameters()}.values())


def bandwidth(megabytes: int) -> dict[str, float]:
    """Return bytes a second over a buffer of so many MiB, by way of reading: the best of five each.

    A copy reads and writes; a matrix times a vector is what decoding is.
    """
    rows = torch.ones(megabytes * _MIB // 4 // _COLUMNS, _COLUMNS)
    vector, target, size = torch.ones(_COLUMNS), torch.empty_like(rows), rows.nbytes
    return {
        "sum": size / _best(rows.sum),
        "copy": 2 * size / _best(lambda: target.copy_(rows)),
        "matrix times vector": size / _best(lambda: rows @ vector),
    }


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Load, say how many weights there are, and answer line by line until the input ends."""
    if len(sys.argv) > 2:
        torch.set_num_threads(int(sys.argv[2]))
    plain = Plain(Place.read(sys.argv[1]))
    print(json.dumps({"parameters": parameters(plain.model)}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "megabytes" in asked:
            print(json.dumps(bandwidth(asked["megabytes"])), flush=True)
        else:
            said = plain.reply(asked["prompt"], asked["longest"], *asked["sampling"])
            print(json.dumps({"said": said}), flush=True)


if __name__ == "__main__":
    main()
