"""`echochamber train`, `evaluate` and then `chat`, as a person types them, on both of the hub's layouts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toys import toy_gpt2, toy_scenes
from tests.training.conftest import write_corpus

ROOT = Path(__file__).parents[1]


def echochamber(*words: str, at: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CACHE_DIR": str(at / "cache"), "DATA_DIR": str(at / "data"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "echochamber", *words],
        check=False, capture_output=True, text=True, cwd=ROOT, env=environment, input=typed, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "pytorch_model.bin"])
def test_from_a_corpus_to_a_conversation(tmp_path: Path, pickled: bool) -> None:
    base, corpus = toy_gpt2(tmp_path / "base", pickled=pickled), write_corpus(tmp_path / "toy-corpus", toy_scenes())
    asked = ["train", "--corpus", str(corpus), "--base", str(base), "--out", str(tmp_path / "run")]
    asked += ["--persona", "joey", "--max-steps", "3", "--rank", "2", "--tokens", "200"]
    trained = echochamber(*asked, at=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "Teaching Joey Tribbiani from toy-corpus on cpu in " in trained.stderr
    assert "bits per byte held out" in trained.stderr
    assert trained.stdout == ""
    again = echochamber(*asked, "--resume", "--max-minutes", "1", at=tmp_path)
    assert again.returncode == 2
    assert "the 3 steps of this run are done" in again.stderr

    measured = echochamber(
        "evaluate", "--model", str(tmp_path / "run"), "--corpus", str(corpus), "--json", str(tmp_path / "m.json"),
        at=tmp_path,
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    assert "untouched base" in measured.stdout
    assert json.loads((tmp_path / "m.json").read_text())["episodes"] >= 1

    # Random weights say nothing that may leave the house; what is said instead is Joey's, line for line.
    talked = echochamber(
        "chat", "--model", str(tmp_path / "run"), "--seed", "1", at=tmp_path, typed="Hi.\nHow are you?\n"
    )
    assert talked.returncode == 0, talked.stderr
    assert len(talked.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (["--corpus", "/nowhere/at-all"], "there is no corpus folder"),
        (["--base", "microsoft/DialoGPT-small"], "the hub cannot be reached to download 'microsoft/DialoGPT-small'"),
        (["--persona", "chandler"], "nobody called Chandler Bing speaks in the corpus"),
    ],
)
def test_what_is_refused_exits_with_2_and_one_sentence(tmp_path: Path, change: list[str], complaint: str) -> None:
    base, corpus = toy_gpt2(tmp_path / "base"), write_corpus(tmp_path / "toy-corpus", toy_scenes())
    asked = ["train", "--corpus", str(corpus), "--base", str(base), "--persona", "joey", "--out", str(tmp_path / "run")]
    refused = echochamber(*asked, *change, at=tmp_path)
    assert refused.returncode == 2
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "run" / "run.json").exists()
