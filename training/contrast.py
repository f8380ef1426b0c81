"""Name contrast: a line shall be likelier under its speaker's name than under another's.

Who speaks is worth a fifth of a nat a line, what is said tens of them, so the usual loss hardly teaches
who. Here some taught lines are read twice: where they stand, and again under another taught name, the
rival's. The loss added is that of telling the two names by the line alone (a logistic loss on the
difference of its log-likelihoods, as in Gutmann and Hyvarinen 2010, with the rival in the place of noise).

The rival must be one who could as well have spoken: no scene lets a speaker follow himself, and who has not
been in it is unlikely to come. Against such a name the cheapest lesson is to expect nonsense behind it.

A line's second reading is a branch of its scene: its tokens stand behind the window, but see only
what was said before the line and themselves, at the places that they would have had. So a window with
all its branches is one row of one forward pass.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import softplus

SHARE = 0.5  # of the taught lines: each costs a header and a line more to compute


class Rival(NamedTuple):
    """A taught line's other reading: what is said, `start` to `stop` in its window, under another `header`.

    `at` is where the line's own header begins, and the branch with it.
    """

    at: int
    start: int
    stop: int
    header: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Return the tokens that the branch adds."""
        return len(self.header) + self.stop - self.start


class Branches(NamedTuple):
    """One window with its branches, T tokens: ids, their places, whom each sees (T, T), and pairs.

    `pairs` (T) is n for what the n-th line says as it stands, -n for the same in its branch, else 0.
    """

    ids: torch.Tensor
    places: torch.Tensor
    sees: torch.Tensor
    pairs: torch.Tensor


def branched(ids: Sequence[int], rivals: Sequence[Rival], first: int) -> Branches:
    """Append the branches of a window; its pairs are numbered from `first` on."""
    size = len(ids) + sum(rival.tokens for rival in rivals)
    row, places = list(ids), list(range(len(ids)))
    sees = torch.zeros((size, size), dtype=torch.bool)
    sees[: len(ids), : len(ids)] = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    pairs = torch.zeros(size, dtype=torch.long)
    for number, rival in enumerate(rivals, first):
        begin = len(row)
        row += [*rival.header, *ids[rival.start : rival.stop]]
        places += range(rival.at, rival.at + rival.tokens)
        sees[begin : len(row), : rival.at] = True
        sees[begin : len(row), begin : len(row)] = torch.ones(rival.tokens, rival.tokens, dtype=torch.bool).tril()
        pairs[rival.start : rival.stop] = number
        pairs[begin + len(rival.header) : len(row)] = -number
    return Branches(torch.tensor(row), torch.tensor(places), sees, pairs)


def contrast(nats: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Return the loss of each pair, a vector: -log of the chance that the true name gets beside its rival.

    `nats` and `pairs` are those of the same positions, as in `Branches`.
    """
    count = int(pairs.max())
    sums = nats.new_zeros(2 * count + 1).index_add(0, pairs + count, nats)
    true, rival = sums[count + 1 :], sums[:count].flip(0)
    return softplus(true - rival)
