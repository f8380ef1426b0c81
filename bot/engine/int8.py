"""Weights in int8 beside those in bf16, for steps of few tokens on a CPU. Imports torch.

A step of few tokens takes as long as its weights take to be read, and int8 is half of bf16 to read;
a step of many is bound by arithmetic, which bf16 does faster. So each layer has both, and takes the
one that suits the step. Rounded to the nearest of 255 levels by output channel, as in LLM.int8()'s
absmax quantization (Dettmers et al., 2022), the weights only: activations stay bf16.
"""

from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

MOST_ROWS = 8
_LEVELS = 127
_WIDTH = 16  # torch's product reads so many inputs at once, and past the end of a row that is no multiple of them


class Int8Linear(nn.Module):
    """A linear layer with its weights in int8 beside it, for inputs of at most `MOST_ROWS` rows."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        weight = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
        scales = (weight.float().abs().amax(dim=1) / _LEVELS).clamp(min=1e-8).to(torch.bfloat16)
        rounded = (weight.float() / scales.float().unsqueeze(1)).round().clamp(-_LEVELS, _LEVELS)
        self.inputs = weight.shape[1]
        self.rounded = nn.Buffer(rounded.to(torch.int8).contiguous(), persistent=False)
        self.scales = nn.Buffer(scales, persistent=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for (..., inputs)."""
        rows = given.numel() // self.inputs
        if not 0 < rows <= MOST_ROWS:  # none, where a step wants no logits
            found: torch.Tensor = self.layer(given)
            return found
        found = torch.ops.aten._weight_int8pack_mm(given.reshape(rows, self.inputs), self.rounded, self.scales)
        if self.layer.bias is not None:
            found = found + self.layer.bias
        return found.view(*given.shape[:-1], -1)


def add_int8(model: Any) -> int:
    """Put int8 weights beside every linear layer of a bf16 model on the CPU; return how many bytes they are.

    A layer whose inputs are no multiple of 16 stays as it is.
    """
    added = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            # peft keeps an adapter's small layers in a ModuleDict.
            plain = isinstance(child, nn.Linear | Conv1D) and not isinstance(module, Int8Linear | nn.ModuleDict)
            if plain and child.weight.shape[isinstance(child, nn.Linear)] % _WIDTH == 0:
                beside = Int8Linear(child)
                setattr(module, name, beside)
                added += beside.rounded.nbytes
    return added


def can_int8() -> bool:
    """Say whether this build of torch has the product, which is not part of its public interface.

    Four outputs are computed by one thread alone. More would give whoever asks a pool of threads of his own, and two
    pools in one process slow each other to half.
    """
    try:
        ones = torch.ones(1, 64, dtype=torch.bfloat16)
        torch.ops.aten._weight_int8pack_mm(ones, torch.ones(4, 64, dtype=torch.int8), torch.ones(4).bfloat16())
    except (AttributeError, RuntimeError):
        return False
    return True
