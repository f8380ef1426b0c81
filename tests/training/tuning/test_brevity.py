"""What a reply's length makes of each part is read off the candidates drawn for the same context."""

import math

import pytest
import torch

from bot.engine.protocol import Candidate
from persona.characters import friends
from persona.dialogue import Scene
from persona.ranking import BREVITY, PARTS, Evidence, Parts, above_mean
from training.tuning.brevity import FEWEST, brevity_of
from training.tuning.contexts import Context
from training.tuning.reading import Read

TRUE = {"likelihood": 1.0, "information": 1.5, "persona_gain": 0.3, "commonness": -0.5}
CONTEXT = Context("e", Scene(()), friends()[0], "hey", ())


def drawn(size: int, level: float, off: list[float]) -> Evidence:
    """Return a candidate of so many tokens whose parts are `level` and what its length makes of them, and `off`."""
    part = {name: level + TRUE[name] / size + one for name, one in zip(PARTS, off, strict=True)}
    here = size * part["likelihood"]
    nowhere, gain = here - size * part["information"], here - size * part["persona_gain"]
    return Evidence(size, here, nowhere, (size * part["commonness"],), (gain,))


def read(*known: Evidence) -> Read:
    return Read(CONTEXT, (), tuple((Candidate("", one.here, one.tokens, "stop"), one) for one in known))


def reads(contexts: int, noise: float = 0.0) -> list[Read]:
    """Return contexts with eight candidates each; where replies are short, all parts are lower, as in a scene."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(contexts):
        sizes = [2 + (number + at) % (6 if number % 2 else 30) for at in range(8)]
        offs = [(noise * torch.randn(4, generator=generator) / math.sqrt(size)).tolist() for size in sizes]
        level = -3.0 if number % 2 else -1.0
        found.append(read(*(drawn(size, level, off) for size, off in zip(sizes, offs, strict=True))))
    return found


def test_it_is_found_again_whatever_the_context_is_like() -> None:
    assert brevity_of(reads(20)) == pytest.approx(TRUE, abs=1e-3)
    assert brevity_of(reads(2000, noise=1.0)) == pytest.approx(TRUE, abs=0.15)


def test_nothing_is_left_that_goes_with_length() -> None:
    many = reads(2000, noise=1.0)
    brevity = brevity_of(many)
    spread: dict[int, list[float]] = {size: [] for size in (3, 6, 25)}
    for one in many:
        known = [Parts.of(evidence) for _, evidence in one.drawn]
        for parts, above in zip(known, above_mean(known, brevity), strict=True):
            if parts.tokens in spread:
                spread[parts.tokens].append(above["likelihood"])
    for values in spread.values():
        off = torch.tensor(values)
        assert float(off.mean()) == pytest.approx(0, abs=0.2)
        assert float(off.std()) == pytest.approx(1, abs=0.25)


def test_of_too_few_nothing_is_said() -> None:
    assert brevity_of([]) == BREVITY
    assert brevity_of(reads(3)[: (FEWEST - 1) // 8]) == BREVITY
    assert brevity_of([read(*[drawn(5, -1.0, [0.1] * 4)] * 8)] * 9) == BREVITY, "all of one length"


def test_a_part_that_was_not_asked_is_as_elsewhere() -> None:
    without = [read(*(Evidence(one.tokens, one.here, one.nowhere) for _, one in each.drawn)) for each in reads(9)]
    found = brevity_of(without)
    assert found["persona_gain"] == BREVITY["persona_gain"]
    assert found["information"] == pytest.approx(TRUE["information"], abs=1e-3)
