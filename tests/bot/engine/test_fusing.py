"""Layers of one input joined: the same numbers from fewer products, and nothing kept behind a step."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bot.engine.fusing import Joint, Part, fuse
from bot.engine.int8 import Int8Linear, add_int8, can_int8
from tests.bot.engine.pupils import untaught


class Attention(nn.Module):
    """Three layers of one input, as transformers names them, and how often any was computed."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(16, size, bias=bias) for size in (8, 4, 4))

    def forward(self, given: torch.Tensor) -> list[torch.Tensor]:
        return [self.q_proj(given), self.k_proj(given), self.v_proj(given)]


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_joined_layers_say_the_same(bias: bool) -> None:
    torch.manual_seed(0)
    model = Attention(bias)
    given, other = torch.randn(1, 5, 16), torch.randn(1, 2, 16)
    apart = model(given)
    elsewhere = model.k_proj(other)
    assert fuse(model) == 2
    for _ in range(2):
        for before, now in zip(apart, model(given), strict=True):
            assert torch.allclose(before, now, atol=1e-6)
    model.q_proj(given)
    assert torch.allclose(elsewhere, model.k_proj(other), atol=1e-6), "another input is computed by itself"


@torch.inference_mode()
def test_a_step_is_one_product_and_leaves_nothing_behind() -> None:
    model = Attention(bias=False)
    fuse(model)
    joint = model.q_proj
    assert isinstance(joint, Joint)
    products = []
    joint.layer.register_forward_hook(lambda *about: products.append(1))
    for _ in range(3):
        model(torch.randn(1, 5, 16))
    assert len(products) == 3
    assert (joint._given, joint._parts) == (None, ())
    assert sum(one.numel() for one in model.parameters()) == 16 * 16


@torch.inference_mode()
def test_a_llama_answers_as_before_with_three_products_fewer_a_layer(tmp_path: Path) -> None:
    model = untaught("llama", tmp_path).model
    ids = torch.arange(20).unsqueeze(0) + 5
    before, size = model(ids).logits, sum(one.numel() for one in model.parameters())
    assert fuse(model) == 3 * model.config.num_hidden_layers
    assert torch.allclose(before, model(ids).logits, atol=1e-5)
    assert sum(one.numel() for one in model.parameters()) == size
    assert fuse(model) == 0, "once is enough"


def test_what_is_not_plain_or_not_alike_stays(tmp_path: Path) -> None:
    assert fuse(untaught("gpt2", tmp_path).model) == 0
    model = Attention(bias=False)
    model.k_proj = nn.Linear(16, 4)
    assert fuse(model) == 0
    model.k_proj = nn.Sequential(nn.Linear(16, 4, bias=False))
    assert fuse(model) == 0


@pytest.mark.skipif(not can_int8(), reason="this build of torch has no int8 product")
@torch.inference_mode()
def test_the_joint_product_is_computed_in_int8_for_few_rows() -> None:
    torch.manual_seed(0)
    model = nn.ModuleList([Attention(bias=False)]).bfloat16()
    given = torch.randn(1, 1, 16).bfloat16()
    apart = model[0](given)
    fuse(model)
    assert add_int8(model) == 16 * 16
    assert isinstance(model[0].q_proj.layer, Int8Linear)
    assert isinstance(model[0].k_proj, Part)
    for before, now in zip(apart, model[0](given), strict=True):
        assert (before.float() - now.float()).norm() < 0.05 * before.float().norm()
