"""Attention over slots: one forward pass computes the next tokens of many conversations, without padding.

A step packs the pending tokens of all its rows into one sequence (1, N). The model's own code
embeds and projects them; where it attends, transformers calls `attend` (its AttentionInterface),
which writes keys and values into the slots and lets every row see its own slot alone. A `Plan`
says which token belongs where; it travels as a keyword argument through the model's forward.
Packing as in Orca (Yu et al., OSDI 2022) and transformers' own continuous batching.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "slots"


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `start` to `stop` of a step, all of one slot; `mask` is (tokens, seen) and True where seen."""

    start: int
    stop: int
    slot: int
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each of the N tokens of a step is kept and what it sees.

    `kept` is (layers, 2, slots, positions, heads, width): keys and values. `slots` and `positions`
    are (N,). The first `single` tokens are alone in their slots, in the order of the slots, and
    attend together: `mask` is (high, 1, 1, seen), True where seen, and `high` the number of slots
    up to the last of theirs. The others come as `spans`.
    """

    kept: torch.Tensor
    slots: torch.Tensor
    positions: torch.Tensor
    single: int
    mask: torch.Tensor | None
    spans: tuple[Span, ...]


def attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: None, **others: Any
) -> tuple[torch.Tensor, None]:
    """Attend as `plan`, one of `others`, says; query (1, H, N, D), key and value (1, heads, N, D)."""
    plan: Plan = others["plan"]
    scale: float | None = others.get("scaling")
    keys, values = plan.kept[module.layer_idx]
    where = (plan.slots, plan.positions)
    keys.index_put_(where, key[0].transpose(0, 1))
    values.index_put_(where, value[0].transpose(0, 1))
    queries = query[0].transpose(0, 1)  # (N, H, D)
    seen = torch.empty_like(queries, memory_format=torch.contiguous_format)
    if plan.mask is not None:
        seen[: plan.single] = _singles(queries[: plan.single], (keys, values), plan, plan.mask, scale)
    for span in plan.spans:
        seen[span.start : span.stop] = _span(queries[span.start : span.stop], keys, values, span, scale)
    return seen.unsqueeze(0), None


def _singles(
    queries: torch.Tensor,
    known: tuple[torch.Tensor, torch.Tensor],
    plan: Plan,
    mask: torch.Tensor,
    scale: float | None,
) -> torch.Tensor:
    """Attend one token a slot, over all slots up to the highest; those without a token are computed in vain."""
    rows, heads, width = queries.shape
    keys, values = known
    high, seen, shared = mask.shape[0], mask.shape[-1], keys.shape[2]
    if high != rows:
        spread = queries.new_zeros(high, heads, width)
        spread[plan.slots[:rows]] = queries
        queries = spread
    # The heads that share keys and values are treated as so many queries: nothing is repeated.
    grouped = queries.view(high, shared, heads // shared, width)
    found = scaled_dot_product_attention(
        grouped, keys[:high, :seen].transpose(1, 2), values[:high, :seen].transpose(1, 2), attn_mask=mask,
        scale=scale,
    )  # fmt: skip
    found = found.reshape(high, heads, width)
    return found if high == rows else found[plan.slots[:rows]]


def _span(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, span: Span, scale: float | None
) -> torch.Tensor:
    tokens, heads, width = queries.shape
    seen, shared = span.mask.shape[-1], keys.shape[2]
    group = heads // shared
    grouped = queries.view(tokens, shared, group, width).permute(1, 2, 0, 3).reshape(1, shared, group * tokens, width)
    found = scaled_dot_product_attention(
        grouped,
        keys[span.slot, :seen].transpose(0, 1).unsqueeze(0),
        values[span.slot, :seen].transpose(0, 1).unsqueeze(0),
        attn_mask=span.mask.repeat(group, 1),
        scale=scale,
    )
    return found.view(shared, group, tokens, width).permute(2, 0, 1, 3).reshape(tokens, heads, width)


def _no_mask(*args: Any, **others: Any) -> None:
    """Let the model build no mask of its own: the plan has them."""


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, _no_mask)
