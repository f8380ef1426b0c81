"""What a reply's length makes of each part of the ranking, from the model's own candidates."""

from collections.abc import Mapping, Sequence

import torch

from persona.ranking import BREVITY, PARTS, Parts
from training.tuning.reading import Read

FEWEST = 20


def brevity_of(reads: Sequence[Read]) -> Mapping[str, float]:
    """Fit every part's slope over 1 / tokens among the candidates drawn for one context, by least squares.

    One slope for all contexts, and a level for each: how likely replies are depends on what was said more than on
    their length. The mean of n tokens' values strays as 1 / sqrt(n), so a reply weighs as much as it has tokens. What
    it is elsewhere, where too few were drawn, all are of one length, or a part was not asked.
    """
    drawn = [[Parts.of(known) for _, known in one.drawn] for one in reads]
    if sum(map(len, drawn)) < FEWEST:
        return BREVITY
    slopes = {part: _slope([[(one.tokens, getattr(one, part)) for one in each] for each in drawn]) for part in PARTS}
    return {part: BREVITY[part] if found is None else round(found, 4) for part, found in slopes.items()}


def _slope(contexts: Sequence[Sequence[tuple[int, float | None]]]) -> float | None:
    above = below = 0.0
    for context in contexts:
        known = [(tokens, value) for tokens, value in context if value is not None]
        if not known:
            continue
        tokens, values = torch.tensor(known, dtype=torch.float64).T
        short = 1 / tokens
        short, values = (one - (tokens * one).sum() / tokens.sum() for one in (short, values))
        above += float((tokens * short * values).sum())
        below += float((tokens * short.square()).sum())
    return above / below if below > 1e-9 else None
