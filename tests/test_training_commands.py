"""`echochamber train`, `compare` and then `chat`, as a person types them, on both of the hub's layouts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from echochamber.cli import app
from tests.toys import toy_gpt2, toy_scenes
from tests.training.conftest import write_corpus

ROOT = Path(__file__).parents[1]


def environment(at: Path) -> dict[str, str]:
    return {"CACHE_DIR": str(at / "cache"), "DATA_DIR": str(at / "data"), "HF_HUB_OFFLINE": "1"}


def echochamber(*words: str, at: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command as a person does, in a process of its own: seconds for its imports alone."""
    return subprocess.run(
        [sys.executable, "-m", "echochamber", *words], check=False, capture_output=True, text=True, cwd=ROOT,
        env=os.environ | environment(at), input=typed, timeout=120,
    )  # fmt: skip


def here(*words: str, at: Path) -> Result:
    """Run the same command line in this process."""
    return CliRunner().invoke(app(words[0]), words, env=environment(at))


def asked(at: Path, *, pickled: bool = False) -> list[str]:
    base, corpus = toy_gpt2(at / "base", pickled=pickled), write_corpus(at / "toy-corpus", toy_scenes())
    words = ["train", "--corpus", str(corpus), "--base", str(base), "--out", str(at / "run"), "--persona", "joey"]
    return [*words, "--max-steps", "3", "--rank", "2", "--tokens", "200"]


def test_from_a_corpus_to_a_conversation(tmp_path: Path) -> None:
    trained = echochamber(*asked(tmp_path), at=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "Teaching Joey Tribbiani from toy-corpus on cpu in " in trained.stderr
    assert "bits per byte held out" in trained.stderr
    assert trained.stdout == ""

    # Random weights say nothing that may leave the house; what is said instead is Joey's, line for line.
    talked = echochamber(
        "chat", "--model", str(tmp_path / "run"), "--seed", "1", at=tmp_path, typed="Hi.\nHow are you?\n"
    )
    assert talked.returncode == 0, talked.stderr
    assert len(talked.stdout.splitlines()) == 2


def test_the_old_layout_is_taught_and_measured(tmp_path: Path) -> None:
    words = asked(tmp_path, pickled=True)
    trained = here(*words, at=tmp_path)
    assert trained.exit_code == 0, trained.stderr
    again = here(*words, "--resume", at=tmp_path)
    assert again.exit_code == 2
    assert "the 3 steps of this run are done" in again.stderr

    question = ["compare", "--model", str(tmp_path / "run"), "--corpus", str(tmp_path / "toy-corpus"), "--json"]
    measured = here(*question, str(tmp_path / "m.json"), at=tmp_path)
    assert measured.exit_code == 0, measured.stderr
    assert "untouched base" in measured.stdout
    assert json.loads((tmp_path / "m.json").read_text())["episodes"] >= 1
    nowhere = here(*question, str(tmp_path / "no" / "m.json"), at=tmp_path)
    assert nowhere.exit_code == 2
    assert "untouched base" in nowhere.stdout
    assert "Error: cannot write" in nowhere.stderr


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (["--corpus", "/nowhere/at-all"], "there is no corpus folder"),
        (["--persona", "chandler"], "nobody called Chandler Bing speaks in the corpus"),
        (["--seed", str(2**32)], "Invalid value for '--seed'"),
    ],
)
def test_what_is_refused_exits_with_2_and_one_sentence(tmp_path: Path, change: list[str], complaint: str) -> None:
    refused = here(*asked(tmp_path), *change, at=tmp_path)
    assert refused.exit_code == 2
    assert isinstance(refused.exception, SystemExit)
    assert complaint in refused.stderr
    assert not (tmp_path / "run").exists()


def test_a_hub_that_cannot_be_reached_exits_with_2_and_one_sentence(tmp_path: Path) -> None:
    refused = echochamber(*asked(tmp_path), "--base", "microsoft/DialoGPT-small", at=tmp_path)
    assert refused.returncode == 2
    assert "the hub cannot be reached to download 'microsoft/DialoGPT-small'" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "run").exists()
