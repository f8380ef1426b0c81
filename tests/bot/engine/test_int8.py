"""int8 weights beside those in bf16."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from bot.engine.int8 import MOST_ROWS, Int8Linear, add_int8, can_int8
from bot.engine.local import LocalEngine
from bot.engine.precision import PrecisionError, choose_precision
from bot.engine.protocol import GenerateRequest, Sampling
from tests.bot.engine.pupils import JOEY, REPLY, SCENE, taught

pytestmark = pytest.mark.skipif(not can_int8(), reason="this build of torch has no int8 product")


@pytest.mark.parametrize("layer", [nn.Linear(96, 64), nn.Linear(96, 64, bias=False), Conv1D(64, 96)])
@pytest.mark.parametrize("rows", [1, MOST_ROWS])
def test_few_rows_are_computed_in_int8_and_nearly_the_same(layer: nn.Module, rows: int) -> None:
    torch.manual_seed(0)
    nn.init.normal_(layer.weight)
    layer = layer.bfloat16()
    given = torch.randn(1, rows, 96).bfloat16()
    exact, found = layer(given).float(), Int8Linear(layer)(given).float()
    assert found.shape == exact.shape
    assert not torch.equal(found, exact)
    assert ((found - exact).norm() / exact.norm()) < 0.02


@pytest.mark.parametrize("rows", [0, MOST_ROWS + 1])
def test_many_rows_and_none_are_the_layers_own(rows: int) -> None:
    layer = nn.Linear(96, 64).bfloat16()
    given = torch.randn(1, rows, 96).bfloat16()
    assert torch.equal(Int8Linear(layer)(given), layer(given))


@pytest.mark.parametrize("width", [8, 24, 40, 48, 100, 128])
@pytest.mark.parametrize("kind", [nn.Linear, lambda inputs, outputs: Conv1D(outputs, inputs)])
def test_a_width_that_the_product_cannot_read_is_left_alone(width: int, kind: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(kind(width, 33)).bfloat16()
    given = torch.randn(1, 1, width).bfloat16()
    exact = model(given).float()
    assert (add_int8(model) > 0) == (width in {48, 128})
    assert (model(given).float() - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
async def test_a_model_with_int8_beside_says_what_it_was_taught(kind: str, tmp_path: Path) -> None:
    pupil = taught(kind, tmp_path)
    pupil.model.to(torch.bfloat16)
    assert add_int8(pupil.model) > 0
    engine = LocalEngine(lambda: pupil)
    [candidate] = await engine.generate(GenerateRequest(SCENE, JOEY, sampling=Sampling(temperature=0)))
    await engine.aclose()
    assert candidate.text == REPLY


def test_the_precision_that_is_asked_for_is_taken_or_refused() -> None:
    cpu = torch.device("cpu")
    assert (choose_precision(cpu, None, "int8").int8, choose_precision(cpu, None, "int8").dtype) == (
        True,
        torch.bfloat16,
    )
    assert choose_precision(cpu, None, "fp32").dtype is torch.float32
    with pytest.raises(PrecisionError, match="set PRECISION to auto, fp32 or bf16"):
        choose_precision(cpu, None, "fp16")
    with pytest.raises(PrecisionError, match="int8 needs a CPU"):
        choose_precision(torch.device("meta"), None, "int8")
    with pytest.raises(PrecisionError, match="there is no number format 'int4'"):
        choose_precision(cpu, None, "int4")


def test_asking_for_it_starts_no_thread() -> None:
    ask = "import psutil, torch; from bot.engine.int8 import can_int8; p = psutil.Process(); n = p.num_threads()"
    done = subprocess.run(
        [sys.executable, "-c", f"{ask}; can_int8(); print(p.num_threads() - n)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0"
