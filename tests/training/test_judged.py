"""Judged replies are read by message and character, and nothing else is taken for some."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from persona.card import BaseCard, Card
from persona.characters import find_persona, friends
from persona.harmless import GUEST
from training.corpus import CorpusError
from training.judged import Judged, held_out_of, judged_corpus, learned_judged, read_judged, split_judged

JOEY, MONICA = (find_persona(name, friends()) for name in ("joey", "monica"))


def row(prompt: str, reply: str, *, counts: bool, character: str = "joey") -> dict[str, object]:
    return {"prompt": prompt, "character": character, "reply": reply, "counts": counts}


ROWS = [
    row("lunch?", "A sandwich.", counts=True),
    row("lunch?", "I'm a table.", counts=False),
    row("lunch?", "Two sandwiches.", counts=True, character="Joey Tribbiani"),
    row("lunch?", "No meat for me.", counts=False, character="phoebe"),
    row("hi", "Hi.", counts=True),
    row("bye", "What?", counts=False),
    row("bye", "Bye! Coasters!", counts=True, character="monica"),
    row("bye", "Spoon.", counts=False, character="monica"),
]


def write(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return file


def test_replies_are_gathered_by_message_and_character(tmp_path: Path) -> None:
    found = read_judged(write(tmp_path / "judged.jsonl", ROWS), (JOEY, MONICA))
    assert found == [
        Judged(("lunch?",), JOEY, ("A sandwich.", "Two sandwiches."), ("I'm a table.",)),
        Judged(("bye",), MONICA, ("Bye! Coasters!",), ("Spoon.",)),
    ], "Phoebe is no character here, and where all replies are alike nothing can be learned"


def test_what_was_said_before_may_be_told(tmp_path: Path) -> None:
    said = ["hi", "Hey! Hungry?", "always"]
    rows = [row("", "Pizza!", counts=True) | {"prompt": said}, row("", "Ants.", counts=False) | {"prompt": said}]
    found, _ = read_judged(write(tmp_path / "judged.jsonl", [*ROWS[:2], *rows]), (JOEY, MONICA))[::-1]
    assert found == Judged(tuple(said), JOEY, ("Pizza!",), ("Ants.",))
    assert [(one.name, one.text) for one in found.scene.turns] == [
        (GUEST, "hi"),
        (JOEY.name, "Hey! Hungry?"),
        (GUEST, "always"),
        (JOEY.name, "Pizza!"),
    ]


def test_one_first_message_is_one_episode_whoever_is_asked() -> None:
    first, other, later = (
        Judged(said, one, ("Hey.",), ("Moo.",)).scene
        for said, one in ((("hi",), JOEY), (("hi",), MONICA), (("hi", "Hey.", "so?"), JOEY))
    )
    assert first.episode == other.episode == later.episode
    assert len({first.id, other.id, later.id}) == 3


@pytest.mark.parametrize(
    "damage",
    [
        *("{", "[]", json.dumps(row("a", "b", counts=True) | {"counts": "yes"}), json.dumps({"prompt": "a"})),
        *(json.dumps(row("", "b", counts=True) | {"prompt": said}) for said in (["a", "b"], [], ["a", 2, "c"], 3)),
    ],
)
def test_a_line_that_is_no_judged_reply_is_named(tmp_path: Path, damage: str) -> None:
    file = write(tmp_path / "judged.jsonl", ROWS)
    file.write_text(f"{file.read_text()}\n{damage}\n")
    with pytest.raises(CorpusError, match=r"line 10 of .*judged\.jsonl is no judged reply: it needs prompt, character"):
        read_judged(file, (JOEY, MONICA))


def test_a_file_that_is_missing_or_too_small_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot be read"):
        read_judged(tmp_path / "nowhere.jsonl", (JOEY,))
    with pytest.raises(CorpusError, match="too few messages"):
        read_judged(write(tmp_path / "few.jsonl", ROWS), (JOEY,))


def test_what_a_model_learned_from_is_left_out_if_it_is_this_very_file() -> None:
    judged = [Judged((f"soup {at}?",), one, ("Yes.",), ("Moo.",)) for at in range(60) for one in (JOEY, MONICA)]
    learned = judged_corpus(judged).sha256
    left = held_out_of(judged, {learned}, None)
    assert 0 < len(left) < 30
    assert {one.name for one in left}.isdisjoint(one.id for one in split_judged(judged_corpus(judged), None).train)
    assert held_out_of(judged, {"another file's"}, None) == held_out_of(judged, (), None) == judged


def test_what_was_learned_in_an_earlier_stage_is_known() -> None:
    card = Card(BaseCard("toy", "0" * 64), "chatml", "adapter", (JOEY,))
    assert learned_judged(card) == set()
    averaged = {"averaged": [{"judged": "ab"}, {"start_from": {"judged": "cd"}}]}
    for training, known in (
        ({"judged": "ab"}, {"ab"}),
        ({"start_from": {"judged": "ab"}}, {"ab"}),
        ({"judged": "cd", "start_from": {"before": {"judged": "ab"}}}, {"ab", "cd"}),
        ({"start_from": averaged}, {"ab", "cd"}),
        ({"start_from": {"sha256": "0"}}, set()),
    ):
        assert learned_judged(replace(card, training=training)) == known


def test_prompts_that_read_alike_are_kept_apart() -> None:
    said = (("a / b / c",), ("a", "b", "c"))
    assert len({Judged(one, JOEY, ("Yes.",), ("Moo.",)).name for one in said}) == 2


def test_too_few_messages_to_hold_some_out_are_said(tmp_path: Path) -> None:
    judged = [Judged(("hi",), one, ("Yes.",), ("Moo.",)) for one in (JOEY, MONICA)]
    with pytest.raises(CorpusError, match=r"few\.jsonl has replies to fewer than three first messages"):
        split_judged(judged_corpus(judged), tmp_path / "few.jsonl")


@pytest.mark.parametrize("learned", [True, False])
def test_a_ranking_cannot_be_fitted_to_one_message_alone(tmp_path: Path, *, learned: bool) -> None:
    # Of three, one is left that was not learned from.
    prompts = ("soup 0?", "soup 1?", "soup 2?") if learned else ("hi",)
    judged = [Judged((said,), one, ("Yes.",), ("Moo.",)) for said in prompts for one in (JOEY, MONICA)]
    known = {judged_corpus(judged).sha256} if learned else set()
    with pytest.raises(CorpusError, match=r"few\.jsonl has too few first messages that the model did not learn from"):
        held_out_of(judged, known, tmp_path / "few.jsonl")
