"""Several corpora as one stream: which share of the steps each gets.

The first corpus is the show. The others teach how people talk, everybody in them is learned from,
and they are left out of the cool-down at a run's end. Exchanges, the characters' talk with strangers, and
replies that readers judged stand beside the show and stay to the end.
"""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.corpus import Corpus, CorpusError
from training.samples import Sampler
from training.split import Split

_WEIGHT = re.compile(r"(?P<name>.+):(?P<weight>\d+(?:\.\d*)?|\.\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One corpus of a mixture: its split, how it becomes windows, and its share of the steps.

    `stays` says whether it is learned from in the cool-down, too; `own` that its lines are a model's own
    replies, which are no data and may be said again.
    """

    corpus: Corpus
    split: Split
    sampler: Sampler
    share: float = 1.0
    stays: bool = False
    own: bool = False

    @property
    def name(self) -> str:
        """Return the corpus's name."""
        return self.corpus.name


def parse_corpus(argument: str) -> tuple[str, float | None]:
    """Split `NAME_OR_FOLDER[:WEIGHT]`; raises CorpusError for a weight of 0."""
    found = _WEIGHT.fullmatch(argument)
    if not found:
        return argument, None
    weight = float(found["weight"])
    if not weight > 0:
        raise CorpusError(f"the weight of the corpus {found['name']} must be above 0; leave the corpus out instead")
    return found["name"], weight


def beside(parts: Sequence[Part], one: Part) -> tuple[Part, ...]:
    """Return `parts` with one more that gets its share of all steps; those that stand beside the show keep theirs."""
    kept = sum(part.share for part in parts if part.stays)
    scale = (1 - kept - one.share) / (1 - kept)
    others = (part if part.stays else dataclasses.replace(part, share=part.share * scale) for part in parts)
    return (*others, one)


def shares(weights: Sequence[float | None], sizes: Sequence[int], temperature: float) -> list[float]:
    """Return each corpus's share of the steps, adding up to 1.

    The shares are the weights, or the `sizes` (tokens of a pass) where no corpus has one, to the
    power of 1/temperature: a high temperature evens them out (Arivazhagan et al. 2019,
    arXiv:1907.05019). Raises CorpusError where only some have a weight.
    """
    given = [weight for weight in weights if weight is not None]
    if given and len(given) < len(weights):
        raise CorpusError("give every corpus a weight (--corpus NAME:WEIGHT), or none")
    raised = [weight ** (1.0 / temperature) for weight in (given or map(float, sizes))]
    whole = sum(raised)
    if not whole > 0:
        raise CorpusError("the characters to be taught say nothing in the training episodes")
    return [one / whole for one in raised]
