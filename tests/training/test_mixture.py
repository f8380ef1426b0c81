"""Which share of the steps each corpus gets."""

import pytest

from training.corpus import CorpusError
from training.mixture import parse_corpus, shares


@pytest.mark.parametrize(
    ("argument", "parsed"),
    [
        ("friends-corpus", ("friends-corpus", None)),
        ("friends-corpus:0.6", ("friends-corpus", 0.6)),
        ("a/b:c:2", ("a/b:c", 2.0)),
        ("x:.5", ("x", 0.5)),
        ("x:y", ("x:y", None)),
    ],
)
def test_a_weight_stands_behind_the_last_colon(argument: str, parsed: tuple[str, float | None]) -> None:
    assert parse_corpus(argument) == parsed


def test_a_weight_of_nothing_is_refused() -> None:
    with pytest.raises(CorpusError, match="the weight of the corpus x must be above 0"):
        parse_corpus("x:0.0")


def test_weights_become_shares_and_temperature_evens_them_out() -> None:
    assert shares([6, 3, 1], [0, 0, 0], 1.0) == pytest.approx([0.6, 0.3, 0.1])
    assert shares([None, None], [900, 100], 1.0) == pytest.approx([0.9, 0.1])
    warm = shares([None, None], [900, 100], 2.0)
    assert warm == pytest.approx([0.75, 0.25])
    cold = shares([9, 1], [0, 0], 0.5)
    assert cold[0] > 0.98


def test_weights_for_some_only_are_refused() -> None:
    with pytest.raises(CorpusError, match="give every corpus a weight"):
        shares([1.0, None], [1, 1], 1.0)
