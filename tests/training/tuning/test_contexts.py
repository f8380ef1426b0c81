"""Contexts are true, their distractors are true elsewhere, and nothing gives the answer away."""

import pytest

from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn
from persona.words import words_of
from tests.training.tuning.plays import JOEY, MONICA, play
from training.corpus import CorpusError
from training.tuning.contexts import GARBLED, OTHERS, SAME, TURNS, Context, choose_bare_contexts, choose_contexts

PERSONAS = tuple(find_persona(name, friends()) for name in ("joey", "monica"))
SCENES = play()
SAID = {name: {turn.text for scene in SCENES for turn in scene.turns if turn.name == name} for name in (JOEY, MONICA)}


@pytest.fixture(scope="module")
def contexts() -> list[Context]:
    return choose_contexts(SCENES, PERSONAS, 80, seed=1)


def test_a_context_is_what_was_said_before_in_the_scene(contexts: list[Context]) -> None:
    assert len(contexts) == 80
    assert {one.persona for one in contexts} == set(PERSONAS)
    by_episode = {scene.episode: scene.turns for scene in SCENES}
    for one in contexts:
        turns = by_episode[one.episode]
        at = turns.index(Turn(one.persona.name, one.said))
        assert one.conversation == Scene(turns[max(0, at - TURNS) : at])
        assert 0 < len(one.conversation.turns) <= TURNS


def test_distractors_are_true_lines_of_another_scene_and_of_like_length(contexts: list[Context]) -> None:
    by_episode = {scene.episode: {turn.text for turn in scene.turns} for scene in SCENES}
    for one in contexts:
        assert (len(one.same), len(one.others)) == (SAME, OTHERS)
        assert set(one.same) <= SAID[one.persona.name]
        assert set(one.others) <= SAID[MONICA if one.persona.name == JOEY else JOEY]
        assert len({tuple(words_of(text)) for text in one.same}) == SAME
        for text in (*one.same, *one.others):
            assert words_of(text) != words_of(one.said)
            assert 0.5 <= len(text) / len(one.said) <= 2
            assert any(text in said for episode, said in by_episode.items() if episode != one.episode)


def test_the_choice_is_a_function_of_the_seed(contexts: list[Context]) -> None:
    assert choose_contexts(SCENES, PERSONAS, 80, seed=1) == contexts
    assert choose_contexts(SCENES, PERSONAS, 80, seed=2) != contexts


def test_the_same_words_in_other_letters_are_no_distractor() -> None:
    shouted = Scene((Turn(MONICA, "Who?"), Turn(JOEY, SCENES[0].turns[2].text.upper() + "!")), "x", "s02_e01")
    for one in choose_contexts((*SCENES, shouted), PERSONAS, 1000, seed=1):
        assert words_of(one.said) not in [words_of(text) for text in one.same]


def test_one_character_alone_is_told_from_nobody() -> None:
    contexts = choose_contexts(SCENES, PERSONAS[:1], 5, seed=1)
    assert [(one.persona, one.others) for one in contexts] == [(PERSONAS[0], ())] * 5


def test_what_another_says_to_the_very_same_turns_is_told_from_it_first() -> None:
    asked = Turn("Guest", "Whose bowl is that?")
    mine = Scene((asked, Turn(JOEY, "The biggest one is mine, as ever.")), "e-joey", "e")
    hers = Scene((asked, Turn(MONICA, "Mine, and it goes right back there.")), "e-monica", "e")
    chosen = [one for one in choose_contexts((*SCENES, mine, hers), PERSONAS, 10_000, seed=1) if one.episode == "e"]
    assert {one.persona.name: one.others[0] for one in chosen} == {
        JOEY: "Mine, and it goes right back there.",
        MONICA: "The biggest one is mine, as ever.",
    }


def test_what_is_not_learned_is_no_context() -> None:
    loop = Scene((Turn(MONICA, "Who?"), Turn(JOEY, "no no no no no no"), Turn(JOEY, "...")), "x", "s02_e01")
    contexts = choose_contexts((*SCENES, loop), PERSONAS, 10_000, seed=1)
    assert "s02_e01" not in {one.episode for one in contexts}


def test_a_bare_context_needs_no_other_lines() -> None:
    scenes = play()[:2]
    found = choose_bare_contexts(scenes, PERSONAS, 50, 0)
    assert 0 < len(found) < 50
    assert {one.replies for one in found} == {(one.said,) for one in found}
    assert all(one.conversation.turns for one in found)
    assert choose_bare_contexts(scenes, PERSONAS, 1, 0) == found[:1]
    assert choose_bare_contexts((), PERSONAS, 3, 0) == []


def test_too_few_lines_are_a_sentence() -> None:
    with pytest.raises(CorpusError, match="no character has 20 lines of about one length"):
        choose_contexts(play(1), PERSONAS, 10, seed=1)


def test_what_is_garbled_has_the_words_of_what_was_said_and_never_their_order(contexts: list[Context]) -> None:
    garbled = [one for one in contexts if one.garbled]
    assert len(garbled) > 40
    for one in garbled:
        assert len(set(one.garbled)) == GARBLED
        assert one.said not in one.garbled
        for text in one.garbled:
            assert set(text.split()) <= set(one.said.split())
            assert abs(len(text.split()) - len(one.said.split())) <= 1


def test_a_line_of_too_few_words_is_not_garbled() -> None:
    short = Scene((Turn(MONICA, "Who sang today?"), Turn(JOEY, "A pigeon sang.")), "x", "s02_e01")
    found = choose_contexts((*SCENES, short), PERSONAS, 10_000, seed=1)
    assert [(one.said, one.garbled) for one in found if one.episode == "s02_e01"] == [("A pigeon sang.", ())]
