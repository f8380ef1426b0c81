"""Layers that read the same input, computed as one product. Imports torch.

A step of one conversation is hundreds of small products, and each costs its dispatch and a meeting of all
threads besides its arithmetic. Queries, keys and values are three of one input, as are the gate and what it
gates; joined, a layer has four products instead of seven. The model's own code runs unchanged: the first of the
layers computes for all, and the others hand out their part if they are given that very input.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

GROUPS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class Joint(nn.Module):
    """The first of some layers: returns its part of the joint product and keeps the others' for them."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        first = layers[0]
        self.sizes = [layer.out_features for layer in layers]
        with torch.device("meta"):
            whole = nn.Linear(first.in_features, sum(self.sizes), bias=first.bias is not None)
        whole.weight = _joined([layer.weight for layer in layers])
        if first.bias is not None:
            whole.bias = _joined([layer.bias for layer in layers])
        self.layer: Any = whole
        self._given: torch.Tensor | None = None
        self._parts: tuple[torch.Tensor, ...] = ()

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Return the first layer's output for (..., inputs)."""
        self._given, self._parts = given, self.layer(given).split(self.sizes, dim=-1)
        return self._parts[0]

    def part(self, number: int, given: torch.Tensor) -> torch.Tensor:
        """Return another layer's output; after the last one's nothing is kept."""
        if self._given is not given:
            self(given)
        found = self._parts[number]
        if number == len(self.sizes) - 1:
            self._given, self._parts = None, ()
        return found


class Part(nn.Module):
    """One of the layers behind the first: its output was computed already, if it is given the same input."""

    def __init__(self, joint: Joint, number: int) -> None:
        super().__init__()
        self._joint = (joint,)  # in a tuple, so that the joint is not a child of each of its parts
        self._number = number

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for (..., inputs)."""
        return self._joint[0].part(self._number, given)


def _joined(weights: Sequence[torch.Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.cat([one.detach() for one in weights]), requires_grad=False)


def fuse(model: Any) -> int:
    """Join the linear layers of a model that read the same input, where they are plain; return how many products fewer.

    An adapter's layers and architectures that name theirs otherwise (GPT-2 has its three joined) stay as they are.
    """
    fewer = 0
    for module in list(model.modules()):
        for names in GROUPS:
            layers: list[Any] = [getattr(module, name, None) for name in names]
            if all(type(layer) is nn.Linear for layer in layers) and _alike(layers):
                joint = Joint(layers)
                setattr(module, names[0], joint)
                for number, name in enumerate(names[1:], start=1):
                    setattr(module, name, Part(joint, number))
                fewer += len(names) - 1
    return fewer


def _alike(layers: Sequence[Any]) -> bool:
    return len({(one.in_features, one.bias is None, one.weight.dtype, one.weight.device) for one in layers}) == 1
