"""The split never cuts through an episode."""

from dataclasses import replace

import pytest

from bot.engine.shipped import shipped_checkpoint
from persona.card import read_card
from persona.dialogue import Scene
from tests.toys import toy_scenes
from training.corpus import Corpus, CorpusError
from training.split import LISTED, Split, split_by_episode, split_scenes


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


@pytest.fixture
def series() -> Corpus:
    """Four seasons of thirty episodes with two scenes each."""
    scenes = tuple(
        Scene(one.turns, f"s{season:02d}_{one.id}_{copy}", f"s{season:02d}_{one.id[4:7]}")
        for season in range(1, 5)
        for one in toy_scenes(30)
        for copy in range(2)
    )
    return Corpus("toy", "sum", scenes, "episode", {scene.episode: scene.episode[:3] for scene in scenes})


def ids(scenes: tuple[Scene, ...]) -> set[str]:
    return {scene.id for scene in scenes}


def test_a_season_or_an_episode_left_out_is_on_no_side_and_moves_no_other(series: Corpus) -> None:
    whole = split_scenes(series)
    asked = ("season=s02", "episode=s03_e05", "episode=s02_e01")
    split = split_scenes(series, asked)
    gone = ids(split.left_out)
    assert split.train
    assert split.validation
    assert gone == {scene.id for scene in series.scenes if scene.episode[:3] == "s02" or scene.episode == "s03_e05"}
    for side in ("train", "validation", "test"):
        assert ids(split.side(side)) == ids(whole.side(side)) - gone
    assert split.to_card()["left_out"] == {"asked": list(asked), "scenes": 62}
    assert whole.to_card()["left_out"] == {"asked": [], "scenes": 0}


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ("season=s10", "cannot leave out 'season=s10': the seasons of toy are s01, s02, s03, s04$"),
        ("episode=s09_e01", "the episodes of toy are s01_e00, s01_e01, .* and 108 more$"),
        ("writer=Ann", "cannot leave out 'writer=Ann': write season=NAME or episode=ID$"),
        ("season", "write season=NAME"),
        ("season=", "write season=NAME"),
    ],
)
def test_what_is_not_there_cannot_be_left_out(series: Corpus, asked: str, complaint: str) -> None:
    with pytest.raises(CorpusError, match=complaint):
        split_scenes(series, ["season=s01", asked])


def test_a_corpus_without_seasons_says_so(series: Corpus) -> None:
    bare = replace(series, seasons={scene.episode: "" for scene in series.scenes})
    with pytest.raises(CorpusError, match="toy does not say which season a scene is from"):
        split_scenes(bare, ["season=s01"])


def test_what_is_left_may_be_too_little(series: Corpus) -> None:
    with pytest.raises(CorpusError, match="at least 3 episodes to hold some out, this one has 0"):
        split_scenes(series, [f"season=s{number:02d}" for number in range(1, 5)])


def test_the_card_speaks_of_conversations_where_there_are_no_episodes() -> None:
    scenes = tuple(replace(one, episode=one.id) for one in toy_scenes(100))
    card = split_scenes(Corpus("talk", "sum", scenes, "conversation")).to_card()
    assert card["unit"] == "conversation"
    assert str(card["rule"]).startswith("SHA-256 of the conversation's id modulo 100")
    assert len(card["validation"]) > 1  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match="at least 3 conversations"):
        split_scenes(Corpus("talk", "sum", scenes[:2], "conversation"))


def test_a_card_lists_thousands_of_ids_but_not_more() -> None:
    scenes = tuple(Scene((), str(number), str(number)) for number in range(LISTED + 1))
    card = Split((), scenes[:-1], (), unit="conversation").to_card()
    assert card["validation"] == sorted(str(number) for number in range(LISTED))
    card = Split((), scenes[:-1], scenes[-1:], unit="conversation").to_card()
    assert (card["validation"], card["test"]) == (LISTED, 1)


def test_the_show_is_split_as_the_shipped_adapter_says(show: Corpus) -> None:
    split, folder = split_scenes(show), shipped_checkpoint()
    assert folder is not None
    shipped = read_card(folder)
    assert shipped.data[0]["sha256"] == show.sha256
    assert all(split.to_card()[key] == shipped.split[key] for key in ("unit", "rule", "validation", "test"))
    assert split == split_by_episode(show.scenes)
    without = split_scenes(show, ["season=s09"])
    assert {scene.episode[:3] for scene in without.left_out} == {"s09"}
    assert "s09" not in {scene.episode[:3] for scene in without.side("all")}
