"""What is asked: the same for every model, of held-out scenes alone, and fair to every character."""

from collections import Counter

from persona.characters import friends
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from tests.training.evaluation.replies import WORDS
from training.evaluation.plan import OTHERS, Size, make_plan
from training.evaluation.strangers import read_prompts, read_rubric

JOEY, CHANDLER = friends()[0], friends()[1]


def scenes(count: int = 40) -> list[Scene]:
    """Joey speaks twice as often as Chandler, and everybody's lines have four words."""
    names = [JOEY.name, CHANDLER.name, JOEY.name, "Ann"]
    found = []
    for number in range(count):
        said = [WORDS[(number * 16 + at) % 1000] for at in range(16)]
        turns = (Turn(name, " ".join(said[4 * at : 4 * at + 4])) for at, name in enumerate(names))
        found.append(Scene(tuple(turns), f"c{number}", f"e{number // 4}"))
    return found


def test_the_same_is_asked_of_everybody_and_something_else_with_another_seed() -> None:
    size = Size(20, 30, 1)
    assert make_plan(scenes(), friends(), size) == make_plan(scenes(), friends(), size)
    assert make_plan(scenes(), friends(), size).lines != make_plan(scenes(), friends(), size, seed=1).lines


def test_a_line_stands_behind_its_scene_and_among_lines_of_its_speaker_from_other_scenes() -> None:
    plan = make_plan(scenes(), friends(), Size(20, 0, 0))
    assert [one.number for one in plan.lines] == list(range(20))
    by_id = {one.id: one for one in scenes()}
    for line in plan.lines:
        scene = by_id[line.conversation.id]
        at = len(line.conversation.turns)
        assert at > 0
        assert scene.turns[:at] == line.conversation.turns
        assert scene.turns[at] == Turn(line.persona.name, line.said)
        assert len(set(line.others)) == OTHERS
        own = {turn.text: one for one in scenes() for turn in one.turns if turn.name == line.persona.name}
        assert all(own[text] is not scene and own[text].id != scene.id for text in line.others)
        assert all(len(line.said) <= 2 * len(one) <= 4 * len(line.said) for one in line.others)


def test_a_line_that_has_too_few_beside_it_is_scored_all_the_same() -> None:
    plan = make_plan(scenes(5), friends(), Size(100, 0, 0))
    assert plan.lines
    assert all(line.others == () for line in plan.lines)


def test_every_character_answers_as_often_as_the_others_while_there_are_contexts() -> None:
    plan = make_plan(scenes(), friends(), Size(0, 60, 0))
    assert Counter(one.persona.name for one in plan.asks) == {JOEY.name: 30, CHANDLER.name: 30}
    everything = make_plan(scenes(), friends(), Size(0, 120, 0)).asks
    different = {(one.conversation.id, len(one.conversation.turns)) for one in everything}
    assert len(different) == 80, "all there are"
    assert len(everything) == 120, "and some of them once more"


def test_a_stranger_says_each_prompt_to_one_character_round_after_round() -> None:
    prompts = read_prompts()
    asks = make_plan(scenes(), friends(), Size(0, 0, 3)).asks
    assert len(prompts) == len({one.text for one in prompts}) == 60
    assert len(asks) == 180
    assert {one.kind for one in asks} == {"stranger"}
    assert all(one.conversation.turns == (Turn(GUEST, one.message),) for one in asks)
    assert Counter(one.persona.id for one in asks) == {one.id: 30 for one in friends()}
    assert [one.episode for one in asks[:60]] == [one.episode for one in asks[120:]]
    assert len({(one.message, one.persona.id) for one in asks}) == 60
    assert len(read_rubric()) == 4
