"""What readers wanted to be sent comes first, and nothing else is learned from them."""

import json
from pathlib import Path

import pytest
import torch

from persona.characters import find_persona, friends
from persona.harmless import GUEST
from persona.ranking import PARTS, Evidence, Usual
from training.corpus import CorpusError
from training.tuning.ablation import ALL, ablation
from training.tuning.judged import Judged, JudgedReplies, judged_replies, read_judged
from training.tuning.reading import Read

JOEY, MONICA = (find_persona(name, friends()) for name in ("joey", "monica"))
NOISE = torch.Generator().manual_seed(5)


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
        Judged("lunch?", JOEY, ("A sandwich.", "Two sandwiches."), ("I'm a table.",)),
        Judged("bye", MONICA, ("Bye! Coasters!",), ("Spoon.",)),
    ], "Phoebe is no character here, and where all replies are alike nothing can be learned"


def test_a_context_asks_about_the_good_ones_first() -> None:
    context = Judged("lunch?", JOEY, ("A sandwich.", "Two."), ("Table.",)).context
    assert context.replies == ("A sandwich.", "Two.", "Table.")
    [turn] = context.conversation.turns
    assert (turn.name, turn.text, context.persona) == (GUEST, "lunch?", JOEY)


@pytest.mark.parametrize(
    "damage", ["{", "[]", json.dumps(row("a", "b", counts=True) | {"counts": "yes"}), json.dumps({"prompt": "a"})]
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


def test_each_good_reply_is_told_from_all_bad_ones() -> None:
    plain = dict.fromkeys(PARTS, Usual(0.0, 0.0))
    judged = Judged("lunch?", JOEY, ("A sandwich.", "Two."), ("Table.", "Chair."))
    read = Read(judged.context, tuple(Evidence(1, -float(number)) for number in range(4)))
    choices = judged_replies(judged, read, plain)
    assert [one[:, 0].tolist() for one in choices.taught()] == [[0, -2, -3], [-1, -2, -3]]
    likelier, unlikelier = torch.eye(len(PARTS), dtype=torch.float64)[0], -torch.eye(len(PARTS), dtype=torch.float64)[0]
    assert choices.first(likelier) == {"judged": True}
    assert choices.first(unlikelier) == {"judged": False}


def test_what_readers_go_by_is_found() -> None:
    choices = []
    for number in range(120):
        replies = torch.randn(6, len(PARTS), generator=NOISE, dtype=torch.float64)
        replies[:2, 2] += 2.0
        choices.append(JudgedReplies(f"m{number}", replies, 2))
    rows = {one.name: one for one in ablation(choices)}
    assert rows[ALL].first["judged"].value > 0.85
    assert rows["persona_gain alone"].first["judged"].value > 0.85
    assert rows["likelihood alone"].first["judged"].value < 0.6, "a third by chance"
    assert rows["without persona_gain"].difference.high < -0.2
