"""Choose the number format by a short probe: bf16 on a CPU only where it beats fp32."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from bot.engine.int8 import can_int8

GAIN_WANTED = 1.2
_ROWS, _WIDTH, _HIDDEN, _ROUNDS = 256, 576, 1536, 24


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.bfloat16}


class PrecisionError(ValueError):
    """A number format that cannot be used here, in one sentence."""


@dataclass(frozen=True, slots=True)
class Precision:
    """The dtype to compute in, and the words that say why; `int8`: with int8 weights beside, for small steps."""

    dtype: torch.dtype
    why: str
    int8: bool = False


def choose_precision(device: torch.device, cache: Path | None = None, wanted: str = "auto") -> Precision:
    """Return the number format for `device`, or the one `wanted`; raises PrecisionError.

    A CPU's probe is kept in `cache`, so that a seed repeats its words on the same machine even
    where the two formats are about equally fast.
    """
    if wanted != "auto":
        return _wanted(device, wanted)
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision(torch.bfloat16, "bf16, native on this GPU")
        return Precision(torch.float16, "fp16: this GPU has no native bf16")
    if device.type != "cpu":
        return Precision(torch.float32, f"fp32 on {device.type}")
    gain = _remembered_gain(cache)
    if gain >= GAIN_WANTED:
        int8 = can_int8()
        beside = ", with int8 weights for small steps" if int8 else ""
        return Precision(torch.bfloat16, f"bf16: {gain:.1f} times as fast as fp32 on this CPU{beside}", int8)
    return Precision(torch.float32, f"fp32: bf16 is {gain:.1f} times as fast on this CPU")


def _wanted(device: torch.device, wanted: str) -> Precision:
    if wanted not in DTYPES:
        raise PrecisionError(f"there is no number format {wanted!r}; choose auto, {', '.join(DTYPES)}")
    if wanted == "fp16" and device.type == "cpu":
        raise PrecisionError("fp16 is slow and overflows on a CPU; set PRECISION to auto, fp32 or bf16")
    if wanted == "int8" and (device.type != "cpu" or not can_int8()):
        raise PrecisionError("int8 needs a CPU and a build of torch with its product; set PRECISION to auto")
    return Precision(DTYPES[wanted], f"{wanted}, as was asked for", wanted == "int8")


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
