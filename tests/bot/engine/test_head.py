"""Exact logits from a model of few bits."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bot.engine.head import LIKELIEST, ExactHead, make_exact
from bot.engine.int8 import Int8Linear, can_int8
from tests.bot.engine.pupils import untaught


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("beside", [lambda layer: layer, Int8Linear])
def test_the_likeliest_are_exact_and_their_order_is_right(bias: bool, beside) -> None:
    if beside is Int8Linear and not can_int8():
        pytest.skip("this build of torch has no int8 product")
    torch.manual_seed(0)
    layer = nn.Linear(64, 512, bias=bias)
    nn.init.normal_(layer.weight)
    layer = layer.bfloat16()
    hidden = torch.randn(1, 5, 64).bfloat16()
    wanted = nn.functional.linear(hidden.float(), layer.weight.float(), layer.bias.float() if bias else None)
    rough, found = beside(layer)(hidden).float(), ExactHead(beside(layer))(hidden)
    assert found.dtype is torch.float32
    top = wanted.topk(LIKELIEST // 2).indices
    assert torch.allclose(found.gather(-1, top), wanted.gather(-1, top), atol=1e-4)
    assert not torch.allclose(rough.gather(-1, top), wanted.gather(-1, top), atol=1e-2)
    assert torch.equal(found.topk(10).indices, wanted.topk(10).indices)


def test_no_position_gives_no_logits() -> None:
    assert ExactHead(nn.Linear(64, 512).bfloat16())(torch.zeros(1, 0, 64).bfloat16()).shape == (1, 0, 512)


def test_a_model_in_fp32_is_left_alone(tmp_path: Path) -> None:
    pupil = untaught("llama", tmp_path)
    make_exact(pupil.model)
    assert not isinstance(pupil.model.get_output_embeddings(), ExactHead)
    pupil.model.to(torch.bfloat16)
    make_exact(pupil.model)
    assert isinstance(pupil.model.get_output_embeddings(), ExactHead)
