"""What a part is worth is counted where no weight was fitted."""

import math

import pytest
import torch

from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn
from persona.ranking import PARTS, Evidence
from training.tuning.ablation import ALL, Sets, ablation, held_out_hits, matrix, sets_of, share
from training.tuning.contexts import Context
from training.tuning.reading import Read

PLAIN = dict.fromkeys(PARTS, 0.0)
NOISE = torch.Generator().manual_seed(3)


def informed(episode: str, *, gain: float = 2.0) -> Sets:
    """Return a choice that information decides, and anything else by chance."""
    same = torch.randn(20, len(PARTS), generator=NOISE, dtype=torch.float64)
    same[0, 1] += gain
    return Sets(episode, same, same[:10], same[:8], same[:5])


CHOICES = [informed(f"e{number % 12:02d}") for number in range(240)]


def test_the_part_that_decides_is_missed_and_the_others_are_not() -> None:
    rows = {row.name: row for row in ablation(CHOICES)}
    assert next(iter(rows)) == ALL
    assert len(rows) == 1 + 2 * len(PARTS)
    missed = rows["without information"]
    assert missed.difference.high < -0.2
    assert missed.first["same"].value < 0.12, "one of twenty by chance"
    assert rows["information alone"].first["same"].value == pytest.approx(rows[ALL].first["same"].value, abs=0.06)
    assert rows["without likelihood"].difference.low <= 0 <= rows["without likelihood"].difference.high
    assert rows[ALL].difference == (0, 0, 0)


def test_every_set_is_counted_with_an_interval_around_its_share() -> None:
    [row, *_] = ablation(CHOICES)
    assert row.first.keys() == {"same", "others", "garbled", "drawn"}
    for found in row.first.values():
        assert found.low < found.value < found.high
    assert row.first["same"].value < row.first["others"].value < row.first["drawn"].value, "20, 10 and 5 replies"


def test_no_episode_is_judged_by_weights_fitted_to_it() -> None:
    for_truth = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    choices = [Sets("one", for_truth)] * 9 + [Sets("two", -for_truth)] * 9
    assert held_out_hits(choices, [0])["same"] == [0.0] * 18, "fitted to itself, one of the two would be found"


def test_a_context_without_a_set_is_not_counted_in_it() -> None:
    choices = [Sets(one.episode, one.same, drawn=None if at % 2 else one.drawn) for at, one in enumerate(CHOICES)]
    hits = held_out_hits(choices, range(4))
    assert "others" not in hits
    assert [math.isnan(one) for one in hits["drawn"]] == [bool(at % 2) for at in range(len(choices))]
    [row, *_] = ablation(choices)
    assert row.first["drawn"].value > 0.5


def test_episodes_are_what_the_interval_is_over() -> None:
    alike = share(["a", "a", "b", "b"], [1.0, 0.0, 1.0, 0.0])
    apart = share(["a", "a", "b", "b"], [1.0, 1.0, 0.0, 0.0])
    assert alike == (0.5, 0.5, 0.5)
    assert (apart.value, apart.low, apart.high) == (0.5, 0.0, 1.0)


def test_rows_are_the_parts_with_more_always_better() -> None:
    some, more = Evidence(4, -8.0, -20.0, (-12.0,), (-9.0,)), Evidence(4, -16.0, -16.0, (-8.0,), (-16.0,))
    table = matrix([some, more, Evidence(4, -12.0)], PLAIN)
    ours = [2.0, 3.0, 0.25, 1.0]  # above the mean of those that know it, times the root of the length
    assert table.tolist() == [ours, [-one for one in ours], [0.0, 0.0, 0.0, 0.0]]


def test_the_sets_of_a_context_share_what_was_said() -> None:
    joey = find_persona("joey", friends())
    context = Context("e1", Scene((Turn("Ann", "hi"),)), joey, "hey", ("a",) * 19, ("b",) * 9, ("c",) * 9)
    replies = tuple(Evidence(1, -float(number)) for number in range(38))
    sets = sets_of(Read(context, replies), PLAIN)
    places = {name: (choice[0, 0] - choice[:, 0]).tolist() for name, choice in sets.named().items()}
    assert places == {"same": [*range(20)], "others": [0, *range(20, 29)], "garbled": [0, *range(29, 38)]}


def test_weights_are_not_fitted_to_what_the_model_says() -> None:
    [some, *_] = CHOICES
    assert [len(one) for one in some.taught()] == [20, 10, 8]
