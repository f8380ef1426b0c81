"""Exact logits for the likeliest tokens of a model in bf16 or fp16. Imports torch.

bf16 knows eight bits: logits between 16 and 32 come in steps of an eighth, so the likeliest tokens of
a model that is undecided are tied, and a log-probability is off by up to a sixteenth a token. The few
likeliest are computed again in fp32 from the same hidden state and weights, which costs a gather.
"""

from typing import Any

import torch
from torch import nn

from bot.engine.int8 import Int8Linear

LIKELIEST = 64


class ExactHead(nn.Module):
    """An output layer that returns fp32 logits (..., V), the `LIKELIEST` of each position exact to fp32."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.plain = _plain(layer)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits for (..., width)."""
        logits: torch.Tensor = self.layer(hidden).float()
        if not logits.numel():
            return logits
        tokens = logits.topk(min(LIKELIEST, logits.shape[-1]), dim=-1).indices
        exact = torch.matmul(self.plain.weight[tokens].float(), hidden.float().unsqueeze(-1)).squeeze(-1)
        if self.plain.bias is not None:
            exact = exact + self.plain.bias.float()[tokens]
        return logits.scatter(-1, tokens, exact)


def make_exact(model: Any) -> None:
    """Let a model of fewer bits than fp32 return exact logits, if its output layer is a plain linear one."""
    head = model.get_output_embeddings()
    plain = _plain(head)
    if isinstance(plain, nn.Linear) and plain.weight.dtype in (torch.bfloat16, torch.float16):
        model.set_output_embeddings(ExactHead(head))


def _plain(layer: Any) -> Any:
    return layer.layer if isinstance(layer, Int8Linear) else layer
