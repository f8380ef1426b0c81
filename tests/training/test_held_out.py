"""Which lines a measurement asks for, by what the cards say."""

from pathlib import Path
from typing import Any

import pytest

from persona.card import BaseCard, Card, read_card
from persona.characters import Persona
from tests.toys import toy_scenes
from training.corpus import Corpus, CorpusError
from training.held_out import choose_held_out
from training.split import split_scenes

SCENES = toy_scenes(40)
SEASONS = {scene.episode: "s02" if int(scene.episode[-2:]) >= 30 else "s01" for scene in SCENES}
TOY = Corpus("toy", "a1", SCENES, seasons=SEASONS)
SHIPPED = Path(__file__).parents[2] / "models" / "friends"


def card(*data: dict[str, Any], names: tuple[str, ...] = ("Joey Tribbiani",), **fields: Any) -> Card:
    characters = tuple(Persona.from_speaker(name) for name in names)
    return Card(BaseCard("toy", "b1"), "chatml", "adapter", characters, data, **fields)


def entry(corpus: Corpus = TOY, taught: str = "characters", leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"sha256": corpus.sha256, "taught": taught, "split": split_scenes(corpus, leave_out).to_card()}


def episodes(side: str, *cards: Card, corpus: Corpus = TOY) -> set[str]:
    return {scene.episode for scene in choose_held_out(corpus, side, cards).scenes}


def test_the_card_says_what_is_held_out_and_whose_lines_count() -> None:
    split = split_scenes(TOY)
    known = choose_held_out(TOY, "validation", [card(entry())])
    assert known.scenes == split.validation
    assert known.taught == {"Joey Tribbiani"}
    assert known.title(1234, 2) == "toy: 1,234 replies of Joey Tribbiani in 2 validation episodes"
    everybody = choose_held_out(TOY, "test", [card(entry(taught="everybody"))])
    assert everybody.scenes == split.test
    assert everybody.taught is None
    assert everybody.title(1, 1) == "toy: 1 replies of everybody in 1 test episode"


def test_a_list_in_the_card_counts_more_than_the_rule_and_a_number_stands_for_it() -> None:
    listed = entry()
    listed["split"]["validation"] = ["s01_e05", "s01_e06"]
    assert episodes("validation", card(listed)) == {"s01_e05", "s01_e06"}
    listed["split"]["validation"] = 2
    assert episodes("validation", card(listed)) == {scene.episode for scene in split_scenes(TOY).validation}


def test_an_older_card_has_its_split_beside_the_data() -> None:
    old = card({"sha256": "a1"}, split={"validation": ["s01_e07"], "test": []})
    assert episodes("validation", old) == {"s01_e07"}
    shipped = read_card(SHIPPED)
    seasons = toy_scenes(2, tuple(one.name for one in shipped.characters))
    renamed = tuple(type(one)(one.turns, one.id, shipped.split["test"][at]) for at, one in enumerate(seasons))
    corpus = Corpus("friends-corpus", shipped.data[0]["sha256"], (*renamed, *SCENES))
    chosen = choose_held_out(corpus, "test", [shipped])
    assert chosen.scenes == renamed
    assert chosen.who == "Chandler Bing and five others"


def test_what_was_left_out_is_a_side_of_its_own() -> None:
    without = card(entry(leave_out=("season=s02",)))
    late = {episode for episode, season in SEASONS.items() if season == "s02"}
    assert episodes("left-out", without) == late
    assert not late & (episodes("validation", without) | episodes("test", without))
    assert episodes("all", without) == set(SEASONS) - late
    assert episodes("all", card(entry())) == set(SEASONS)


def test_a_corpus_that_the_card_does_not_know_is_split_by_the_rule() -> None:
    stranger = choose_held_out(TOY, "validation", [card(names=("Joey Tribbiani", "Ross Geller"))])
    assert stranger.scenes == split_scenes(TOY).validation
    assert stranger.taught == {"Joey Tribbiani"}, "those of the characters who speak in it"
    assert stranger.title(2, 3).endswith("in 3 validation episodes, a corpus that its card does not know")
    nobody = choose_held_out(TOY, "validation", [card(names=("Ross Geller",))])
    assert nobody.taught is None
    short = Corpus("short", "a2", SCENES[:1])
    assert choose_held_out(short, "all", [card()]).scenes == short.scenes


def test_of_two_checkpoints_the_one_that_knows_the_corpus_says_and_neither_has_learned_what_is_read() -> None:
    stranger, knows = card(names=("Ross Geller",)), card(entry(taught="everybody"))
    assert choose_held_out(TOY, "validation", [stranger, knows]).taught is None
    assert "does not know" not in choose_held_out(TOY, "validation", [stranger, knows]).note
    without = card(entry(leave_out=("season=s02",)))
    assert episodes("left-out", without, knows) == episodes("left-out", without) & (
        episodes("validation", knows) | episodes("test", knows)
    )
    assert episodes("left-out", without, stranger) == episodes("left-out", without)


def test_scenes_are_drawn_once_for_all_and_only_where_a_line_counts() -> None:
    mute = toy_scenes(20, ("Ann", "Ben"))
    corpus = Corpus("toy", "a1", SCENES + mute)
    whole = choose_held_out(corpus, "all", [card(entry(corpus))])
    assert whole.sample(None).scenes == SCENES
    drawn = whole.sample(5)
    assert len(drawn.scenes) == 5
    assert set(drawn.scenes) < set(SCENES)
    assert drawn.scenes == whole.sample(5).scenes
    assert drawn.title(20, 5).endswith("in 5 episodes, 5 of 40 scenes drawn at random")
    assert whole.sample(99).note == ""


@pytest.mark.parametrize("damage", [None, "x", 5, {"left_out": {"asked": 5}}, {"validation": {"a": 1}}])
def test_a_damaged_card_falls_back_on_the_rule(damage: Any) -> None:
    damaged = card("x", {"sha256": "a1", "split": damage})  # type: ignore[arg-type]
    assert episodes("validation", damaged) == {scene.episode for scene in split_scenes(TOY).validation}


def test_another_side_is_refused() -> None:
    with pytest.raises(CorpusError, match="there is no split 'dev' to measure; choose validation, test, left-out or"):
        choose_held_out(TOY, "dev", [card()])
