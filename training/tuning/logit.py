"""A conditional logit: weights under which what was truly said is the likeliest choice among the replies.

McFadden 1974, "Conditional logit analysis of qualitative choice behavior": the softmax over the
replies' weighted parts. With a normal prior on the weights of standardised parts (an L2 penalty).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

PRIOR = 1.0


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights of the parts as they are (P); `standard` are those of the standardised parts.

    `refused` are the places of parts whose weight came out below 0: they weigh nothing.
    """

    weights: Tensor
    standard: Tensor
    refused: tuple[int, ...] = ()


def fit(choices: Sequence[Tensor], parts: Sequence[int]) -> Fit:
    """Fit the weights of `parts` to choices, each a matrix (replies, P) with what was truly said in row 0.

    Every part is one of which more is better, so a weight below 0 says that the part tells nothing
    beyond the others here: it is left out, the lowest first, and the others are fitted again.
    """
    spread = _spread(choices)
    active = [part for part in parts if spread[part] > 0]
    refused: list[int] = []
    while True:
        standard = _fitted(choices, spread, active)
        if not active or float(standard.min()) >= 0:
            break
        refused.append(active.pop(int(standard[active].argmin())))
    return Fit(torch.where(spread > 0, standard / spread.clamp(min=1e-12), 0.0), standard, tuple(refused))


def first_wins(choice: Tensor, weights: Tensor) -> bool:
    """Say whether row 0 scores above every other row."""
    scores = choice @ weights
    return bool((scores[0] > scores[1:]).all())


def _spread(choices: Sequence[Tensor]) -> Tensor:
    """Return each part's standard deviation within a choice (P): what all replies share decides nothing."""
    within = torch.cat([choice - choice.mean(dim=0) for choice in choices])
    return within.square().mean(dim=0).sqrt()


def _fitted(choices: Sequence[Tensor], spread: Tensor, active: Sequence[int]) -> Tensor:
    """Return the weights of the standardised parts (P), 0 but for the active ones."""
    places = torch.tensor(active, dtype=torch.long)
    scaled = [choice[:, places] / spread[places] for choice in choices]
    table = pad_sequence(scaled, batch_first=True)
    sizes = torch.tensor([len(choice) for choice in choices])
    padding = torch.arange(table.shape[1]) >= sizes[:, None]
    weights = torch.zeros(len(active), dtype=table.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        scores = (table @ weights).masked_fill(padding, -torch.inf)
        value = -scores.log_softmax(dim=1)[:, 0].sum() + weights.square().sum() / (2 * PRIOR**2)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    if active:
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return torch.zeros_like(spread).index_put((places,), weights.detach())
