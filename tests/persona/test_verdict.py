"""Log-odds of what a reader would say, and a name that nobody else has."""

import math

import pytest

from persona.characters import friends
from persona.harmless import GUEST, guest_name
from persona.verdict import READER, log_odds


def test_log_odds_are_those_of_the_chance() -> None:
    assert log_odds(math.log(0.5)) == pytest.approx(0)
    assert log_odds(math.log(0.8)) == pytest.approx(math.log(4))
    assert log_odds(math.log(0.2)) == pytest.approx(-math.log(4))


def test_the_surest_can_be_compared() -> None:
    assert -20 < log_odds(-1e9) < log_odds(-5.0) < log_odds(-1e-3) < log_odds(0.0) < 20


def test_no_guest_speaks_as_the_reader() -> None:
    assert guest_name(READER.name, friends()) == guest_name(f" {READER.name.upper()}:", friends()) == GUEST
