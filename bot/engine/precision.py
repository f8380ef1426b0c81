"""Choose the number format by a short probe: bf16 on a CPU only where it beats fp32."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

GAIN_WANTED = 1.2
_ROWS, _WIDTH, _HIDDEN, _ROUNDS = 256, 576, 1536, 24


@dataclass(frozen=True, slots=True)
class Precision:
    """The dtype to compute in, and the sentence that says why."""

    dtype: torch.dtype
    why: str


def choose_precision(device: torch.device, cache: Path | None = None) -> Precision:
    """Return bf16, fp16 or fp32 for `device`.

    A CPU's probe is kept in `cache`, so that a seed repeats its words on the same machine even
    where the two formats are about equally fast.
    """
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision(torch.bfloat16, "bf16, native on this GPU")
        return Precision(torch.float16, "fp16: this GPU has no native bf16")
    if device.type != "cpu":
        return Precision(torch.float32, f"fp32 on {device.type}")
    gain = _remembered_gain(cache)
    if gain >= GAIN_WANTED:
        return Precision(torch.bfloat16, f"bf16: {gain:.1f} times as fast as fp32 on this CPU")
    return Precision(torch.float32, f"fp32: bf16 is {gain:.1f} times as fast on this CPU")


def _remembered_gain(cache: Path | None) -> float:
    if cache is None:
        return _probe()
    machine = f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"
    path = cache / "precision.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if not isinstance(known, dict) or not isinstance(known.get(machine), int | float):
        known = {machine: _probe()}
        try:
            cache.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(known), encoding="utf-8")
        except OSError:
            pass  # an unwritable cache costs a probe at every start, nothing else
    return float(known[machine])


def _probe() -> float:
    """Return how many times as fast a transformer-sized product is in bf16, best of three each."""
    return _seconds(torch.float32) / _seconds(torch.bfloat16)


def _seconds(dtype: torch.dtype) -> float:
    rows, weights = torch.ones(_ROWS, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _HIDDEN, dtype=dtype)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(_ROUNDS):
            rows @ weights
        times.append(time.perf_counter() - start)
    return min(times)
