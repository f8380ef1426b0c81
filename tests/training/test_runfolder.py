"""A run's folder: whole or absent, whatever cuts it short."""

from pathlib import Path

import pytest

from training.runfolder import KEPT, RunError, RunFolder, replace_text


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.begin({"seed": 1}, resume=False)
    return folder


def save(folder: RunFolder, step: int) -> None:
    staged = folder.staging() / f"checkpoint-{step}"
    staged.mkdir()
    (staged / "progress.json").write_text("{}")
    folder.publish(staged, step)


def test_the_last_two_checkpoints_are_kept(folder: RunFolder) -> None:
    for step in (5, 40, 300):
        save(folder, step)
    assert [one.name for one in sorted(folder.checkpoints.glob("step-*"))] == ["step-00000040", "step-00000300"]
    assert len(list(folder.checkpoints.glob("step-*"))) == KEPT
    assert folder.latest() == folder.checkpoints / "step-00000300"


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


def test_metrics_survive_a_cut_line_and_forget_what_is_trained_again(folder: RunFolder) -> None:
    for step in range(1, 6):
        folder.log({"kind": "train", "step": step, "minutes": step / 10})
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    assert folder.forget_after(3) == 0.5
    assert [one["step"] for one in folder.metrics()] == [1, 2, 3]


def test_a_resumed_run_must_ask_for_the_same(folder: RunFolder) -> None:
    RunFolder(folder.path).begin({"seed": 1}, resume=True)
    with pytest.raises(RunError, match="seed = 1, not 2"):
        RunFolder(folder.path).begin({"seed": 2}, resume=True)
    replace_text(folder.path / "run.json", "{")
    with pytest.raises(RunError, match="is damaged"):
        RunFolder(folder.path).begin({"seed": 1}, resume=True)


@pytest.mark.parametrize("name", ["metrics.jsonl", "loss.png", "model"])
def test_what_somebody_else_keeps_there_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match="holds something else"):
        RunFolder(tmp_path).begin({}, resume=False)


def test_a_run_file_that_is_no_table_is_damaged(folder: RunFolder) -> None:
    replace_text(folder.path / "run.json", "[1]")
    with pytest.raises(RunError, match="is damaged"):
        RunFolder(folder.path).begin({"seed": 1}, resume=True)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write into"):
        RunFolder(tmp_path / "file" / "run").begin({}, resume=False)
