"""The fit finds the weights that made the choices, and refuses those that only look like weights."""

import pytest
import torch
from torch import Tensor

from training.tuning.logit import first_wins, fit


def chosen_by(weights: list[float], choices: int = 400, replies: int = 8) -> list[Tensor]:
    """Return choices in which row 0 was drawn by the softmax over `weights`."""
    draw = torch.Generator().manual_seed(7)
    made = []
    for _ in range(choices):
        parts = torch.randn(replies, len(weights), generator=draw, dtype=torch.float64)
        odds = (parts @ torch.tensor(weights, dtype=torch.float64)).softmax(dim=0)
        first = int(torch.multinomial(odds, 1, generator=draw))
        made.append(torch.cat([parts[first : first + 1], parts[:first], parts[first + 1 :]]))
    return made


def test_the_weights_behind_the_choices_are_found() -> None:
    found = fit(chosen_by([1.5, 0.5, 0.0]), range(3))
    assert found.weights.tolist() == pytest.approx([1.5, 0.5, 0.0], abs=0.15)


def test_weights_are_of_the_parts_as_they_are() -> None:
    choices = chosen_by([1.5, 0.5])
    found, scaled = fit(choices, range(2)), fit([choice * torch.tensor([100.0, 1.0]) for choice in choices], range(2))
    assert scaled.weights.tolist() == pytest.approx([float(found.weights[0]) / 100, float(found.weights[1])], rel=1e-4)
    assert scaled.standard.tolist() == pytest.approx(found.standard.tolist(), rel=1e-4)


def test_what_all_replies_of_a_choice_share_decides_nothing() -> None:
    choices = chosen_by([1.0, 0.5])
    moved = [choice + 50 * number for number, choice in enumerate(choices)]
    assert fit(moved, range(2)).weights.tolist() == pytest.approx(fit(choices, range(2)).weights.tolist(), abs=1e-6)


def test_a_part_that_points_the_wrong_way_is_refused() -> None:
    found = fit(chosen_by([1.0, -1.0, 0.5]), range(3))
    assert found.refused == (1,)
    assert float(found.weights[1]) == 0
    assert found.weights.tolist() == pytest.approx(fit(chosen_by([1.0, -1.0, 0.5]), [0, 2]).weights.tolist())


def test_where_every_part_misleads_nothing_is_left() -> None:
    found = fit(chosen_by([-1.0, -1.0]), range(2))
    assert sorted(found.refused) == [0, 1]
    assert found.weights.tolist() == [0, 0]


def test_a_part_that_was_never_asked_has_no_weight() -> None:
    choices = [torch.cat([choice, torch.zeros(len(choice), 1)], dim=1) for choice in chosen_by([1.0])]
    assert fit(choices, range(2)).weights.tolist() == [pytest.approx(1.0, abs=0.15), 0]


def test_choices_of_different_sizes_are_fitted_together() -> None:
    few, many = chosen_by([1.0, 0.5], replies=3), chosen_by([1.0, 0.5], replies=12)
    assert fit(few + many, range(2)).weights.tolist() == pytest.approx([1.0, 0.5], abs=0.15)


def test_the_prior_keeps_few_choices_from_saying_too_much() -> None:
    choice = torch.tensor([[1.0], [0.0]], dtype=torch.float64)  # told apart for ever: without a prior without bound
    assert 0 < float(fit([choice], [0]).standard) < 1


def test_first_wins_only_if_no_other_scores_as_much() -> None:
    weights = torch.tensor([1.0])
    assert first_wins(torch.tensor([[2.0], [1.0]]), weights)
    assert not first_wins(torch.tensor([[2.0], [2.0]]), weights)
    assert not first_wins(torch.tensor([[2.0], [1.0], [3.0]]), weights)
