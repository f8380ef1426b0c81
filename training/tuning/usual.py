"""What each part of the ranking usually is for a reply of some length, from the model's own candidates."""

from collections.abc import Mapping, Sequence

import torch

from persona.ranking import PARTS, USUAL, Evidence, Parts, Usual

FEWEST = 20


def usual_of(drawn: Sequence[Evidence]) -> Mapping[str, Usual]:
    """Fit `level` and `brevity` of every part by least squares; what is usual elsewhere where too few were drawn.

    The mean of n tokens' values strays as 1 / sqrt(n), so a reply weighs as much as it has tokens.
    """
    if len({one.tokens for one in drawn}) < 2 or len(drawn) < FEWEST:
        return USUAL
    found = [Parts.of(one) for one in drawn]
    tokens = torch.tensor([one.tokens for one in found], dtype=torch.float64)
    weigh = tokens.sqrt()[:, None]
    shape = torch.stack([torch.ones_like(tokens), 1 / tokens], dim=1) * weigh
    usual = {}
    for part in PARTS:
        values = [getattr(one, part) for one in found]
        if None in values:
            usual[part] = USUAL[part]
            continue
        fitted = torch.linalg.lstsq(shape, torch.tensor(values, dtype=torch.float64)[:, None] * weigh).solution
        usual[part] = Usual(*(round(float(one), 4) for one in fitted.squeeze(1)))
    return usual
