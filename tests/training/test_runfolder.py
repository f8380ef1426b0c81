"""A run's folder: whole or absent, whatever cuts it short; nothing that is there is overwritten."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.decisions import Decision
from training.runfolder import RunError, RunFolder, replace_text

ASKED = {"seed": 1, "leave_out": ()}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.begin(ASKED, {"precision": "float32"}, resume=False)
    folder.close()
    return folder


def test_a_replacement_cut_in_half_is_undone(folder: RunFolder) -> None:
    first = folder.path / ".model-new"
    first.mkdir()
    (first / "persona.json").write_text("1")
    folder.replace_model(first)
    assert (folder.model / "persona.json").read_text() == "1"
    folder.model.rename(folder.path / ".model-before")  # killed between the two renames
    (folder.path / ".model-new").mkdir()
    folder.restore_model()
    assert (folder.model / "persona.json").read_text() == "1"
    assert not (folder.path / ".model-new").exists()


def record(kind: str, step: int, minutes: float) -> dict[str, Any]:
    return {"kind": kind, "step": step, "minutes": minutes}


def test_metrics_survive_a_cut_line_and_forget_what_is_trained_again(folder: RunFolder) -> None:
    for step in range(1, 6):
        folder.log(record("train", step, step / 10))
    folder.log(record("validation", 5, 0.5))
    folder.log(record("end", 5, 0.5))
    folder.log_decision(Decision(2, "validate"))
    folder.log_decision(Decision(3, "decay", 3, 2))
    folder.log_decision(Decision(5, "stop", reason="minutes"))
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    assert folder.forget_after(3, but=5, decays=False) == 0.5
    assert [(one["kind"], one["step"]) for one in folder.metrics()] == [
        ("train", 1), ("train", 2), ("train", 3), ("validation", 5), ("end", 5),
    ]  # fmt: skip
    decisions = (folder.path / "decisions.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in decisions] == ["validate", "decay"]
    folder.forget_after(3, but=0, decays=True)
    assert len((folder.path / "decisions.jsonl").read_text().splitlines()) == 1
    folder.forget_after(-1, but=-1, decays=False)
    assert [one["kind"] for one in folder.metrics()] == ["end"]
    assert (folder.path / "decisions.jsonl").read_text() == ""


def test_a_record_behind_a_cut_line_is_lost_alone(folder: RunFolder) -> None:
    folder.log(record("train", 1, 0.1))
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "step": 2, "lo')  # the disk was full
    folder.log(record("leaks", 0, 0.2))
    folder.log(record("train", 3, 0.3))
    assert [one["step"] for one in folder.metrics()] == [1, 3]
    assert folder.forget_after(3, but=-1, decays=False) == 0.3


def test_what_was_found_of_a_model_goes_with_it(folder: RunFolder) -> None:
    made = folder.path / ".model-new"
    made.mkdir()
    (folder.path / "evaluation.json").write_text("{}")
    folder.replace_model(made)
    assert not (folder.path / "evaluation.json").exists()


def test_a_resumed_run_must_ask_for_the_same_and_gets_the_first_facts(folder: RunFolder) -> None:
    again = RunFolder(folder.path)
    assert again.begin(ASKED, {"precision": "bfloat16"}, resume=True) == {"precision": "float32"}
    again.close()
    with pytest.raises(RunError, match="seed = 1, not 2; ask for the same"):
        RunFolder(folder.path).begin(ASKED | {"seed": 2}, {}, resume=True)
    with pytest.raises(RunError, match="already holds a run: add --resume"):
        RunFolder(folder.path).begin(ASKED, {}, resume=False)


@pytest.mark.parametrize("content", ["{", "[1]", '{"asked": 1}'])
def test_a_damaged_run_file_is_said(folder: RunFolder, content: str) -> None:
    replace_text(folder.path / "run.json", content)
    with pytest.raises(RunError, match="is damaged"):
        RunFolder(folder.path).begin(ASKED, {}, resume=True)


@pytest.mark.parametrize("name", ["metrics.jsonl", "report.html", "model", "decisions.jsonl"])
def test_what_somebody_else_keeps_there_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match="holds something else"):
        RunFolder(tmp_path).begin({}, {}, resume=False)
    assert (tmp_path / name).read_text() == "mine"


def test_two_processes_cannot_train_in_one_folder(folder: RunFolder) -> None:
    first = RunFolder(folder.path)
    first.begin(ASKED, {}, resume=True)
    with pytest.raises(RunError, match="another process is training"):
        RunFolder(folder.path).begin(ASKED, {}, resume=True)
    first.close()
    again = RunFolder(folder.path)
    again.begin(ASKED, {}, resume=True)
    again.close()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write into"):
        RunFolder(tmp_path / "file" / "run").begin({}, {}, resume=False)


def test_who_does_not_lead_writes_nothing(folder: RunFolder) -> None:
    other = RunFolder(folder.path, leads=False)
    other.log(record("train", 1, 0.1))
    other.log_decision(Decision(1, "validate"))
    assert list(folder.metrics()) == []
    assert not (folder.path / "decisions.jsonl").exists()
