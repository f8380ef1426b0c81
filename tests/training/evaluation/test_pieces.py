"""Pieces on disk: each is there as soon as it is known, and a kill costs the one that was being written."""

import json
from pathlib import Path

from persona.characters import friends
from tests.training.evaluation.test_plan import scenes
from training.evaluation.pieces import Draft, Generated, Ledger, ScoredLine
from training.evaluation.plan import Plan, Size, make_plan

LINE = ScoredLine(3, 7, {"Joey": -4.5, "Ann": -6.0}, {"Joey": -9.0, "Ann": -8.0}, ((-4.5, -9.0, 7), (-8.0, -8.5, 6)))
DRAFTS = (Draft("Hi \ud83d.", "stop", None), Draft("", "stop", "empty"))
REPLY = Generated("scene", 4, "Hi \ud83d.", "stop", False, DRAFTS, 1.5)


def test_what_was_kept_is_read_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "pieces.jsonl")
    ledger.add(LINE)
    ledger.add(REPLY)
    again = Ledger(tmp_path / "deep" / "pieces.jsonl")
    assert again.lines == {3: LINE} == ledger.lines
    assert again.replies == {("scene", 4): REPLY} == ledger.replies


def test_a_line_that_a_kill_cut_is_dropped_and_written_again(tmp_path: Path) -> None:
    file = tmp_path / "pieces.jsonl"
    Ledger(file).add(LINE)
    whole = file.read_bytes()
    for cut in (whole[:30], b'{"piece": "reply"}\n', b"\x00\x00"):
        file.write_bytes(whole + cut)
        ledger = Ledger(file)
        assert ledger.lines == {3: LINE}
        ledger.add(REPLY)
        assert len(Ledger(file).replies) == 1
        assert [json.loads(one)["piece"] for one in file.read_text().splitlines()] == ["line", "reply"]


def test_it_says_when_all_of_a_plan_is_there(tmp_path: Path) -> None:
    plan = make_plan(scenes(), friends(), Size(2, 1, 0))
    ledger = Ledger(tmp_path / "pieces.jsonl")
    assert ledger.has(Plan((), ()))
    for number in range(2):
        assert not ledger.has(plan)
        ledger.add(ScoredLine(number, 1, {}, {}))
    assert ledger.has(Plan(plan.lines, ()))
    assert not ledger.has(plan)
    ledger.add(Generated("scene", 0, "", "", True, ()))
    assert ledger.has(plan)
