"""Judged replies are read by message and character, and nothing else is taken for some."""

import json
from pathlib import Path

import pytest

from persona.characters import find_persona, friends
from persona.harmless import GUEST
from training.corpus import CorpusError
from training.judged import Judged, read_judged

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
    with pytest.raises(CorpusError, match=r"line 9 of .*judged\.jsonl is no judged reply: it needs prompt, character"):
        read_judged(file, (JOEY, MONICA))


def test_a_file_that_is_missing_or_too_small_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot be read"):
        read_judged(tmp_path / "nowhere.jsonl", (JOEY,))
    with pytest.raises(CorpusError, match="too few messages"):
        read_judged(write(tmp_path / "few.jsonl", ROWS), (JOEY,))
