"""What parts usually are is read off the model's own candidates, length by length."""

import math

import pytest
import torch

from persona.ranking import PARTS, USUAL, Evidence, Parts, Usual
from training.tuning.usual import FEWEST, usual_of

TRUE = {
    "likelihood": Usual(-2.5, 1.0),
    "information": Usual(0.2, 1.5),
    "persona_gain": Usual(0.0, 0.3),
    "commonness": Usual(-2.0, -0.5),
}


def drawn(count: int, noise: float = 0.0) -> list[Evidence]:
    """Return candidates of 2 to 31 tokens whose parts are the true ones, each token's off by `noise` nats or so."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(count):
        size = 2 + number % 30
        off = torch.randn(len(PARTS), generator=generator).tolist()
        part = {name: TRUE[name].of(size) + noise * one / math.sqrt(size) for name, one in zip(PARTS, off, strict=True)}
        here = size * part["likelihood"]
        found.append(
            Evidence(
                size, here, here - size * part["information"], (size * part["commonness"],),
                (here - size * part["persona_gain"],),
            )
        )  # fmt: skip
    return found


def test_it_is_found_again() -> None:
    for part, found in usual_of(drawn(60)).items():
        assert found == pytest.approx(TRUE[part], abs=1e-3)
    for part, found in usual_of(drawn(3000, noise=1.0)).items():
        assert found == pytest.approx(TRUE[part], abs=0.25)


def test_nothing_is_left_that_goes_with_length() -> None:
    usual = usual_of(drawn(3000, noise=1.0))
    spread = {size: [] for size in (2, 15, 31)}
    for one in drawn(3000, noise=1.0):
        if one.tokens in spread:
            spread[one.tokens].append(Parts.of(one).unusual(usual)["likelihood"])
    for values in spread.values():
        off = torch.tensor(values)
        assert float(off.mean()) == pytest.approx(0, abs=0.3)
        assert float(off.std()) == pytest.approx(1, abs=0.25)


def test_of_too_few_nothing_is_said() -> None:
    assert usual_of(drawn(FEWEST - 1)) == USUAL
    assert usual_of([]) == USUAL
    assert usual_of(drawn(1) * 50) == USUAL, "all of one length"


def test_a_part_that_was_not_asked_is_as_elsewhere() -> None:
    without = [Evidence(one.tokens, one.here, one.nowhere) for one in drawn(60)]
    found = usual_of(without)
    assert found["persona_gain"] == USUAL["persona_gain"]
    assert found["information"] == pytest.approx(TRUE["information"], abs=1e-3)
