"""The split never cuts through an episode."""

import pytest

from persona.dialogue import Scene
from tests.toys import toy_scenes
from training.corpus import CorpusError
from training.split import split_by_episode


def test_no_episode_stands_on_two_sides_and_nothing_is_lost() -> None:
    scenes = tuple(Scene(one.turns, f"{one.id}_{copy}", one.episode) for one in toy_scenes(300) for copy in range(3))
    split = split_by_episode(scenes)
    sides = [{scene.episode for scene in side} for side in (split.train, split.validation, split.test)]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert len(split.side("all")) == len(scenes)
    assert 5 < len(sides[1]) < 30
    assert split.to_card()["validation"] == sorted(sides[1])


def test_the_side_of_an_episode_is_its_own() -> None:
    whole, part = split_by_episode(toy_scenes(200)), split_by_episode(toy_scenes(100))
    assert {scene.id for scene in part.train} <= {scene.id for scene in whole.train}


def test_small_corpora_hold_something_out_or_are_refused() -> None:
    split = split_by_episode(toy_scenes(3))
    assert split.validation
    assert split.train
    with pytest.raises(CorpusError, match="at least 3 episodes"):
        split_by_episode(toy_scenes(2))
    with pytest.raises(CorpusError, match="no split 'dev'"):
        split.side("dev")
