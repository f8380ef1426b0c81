"""`echochamber sweep` as a person types it, with real trainings of a toy."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from echochamber.cli import app
from tests.toys import toy_gpt2, toy_scenes
from tests.training.conftest import write_corpus


def here(*words: str, at: Path) -> Result:
    """Run the command line in this process, in a terminal of 80 columns."""
    places = {"CACHE_DIR": str(at / "cache"), "DATA_DIR": str(at / "data"), "COLUMNS": "80"}
    return CliRunner().invoke(app(words[0]), words, env={**places, "HF_HUB_OFFLINE": "1"})


def asked(at: Path) -> list[str]:
    base = toy_gpt2(at / "base")
    show, other = (write_corpus(at / name, toy_scenes(episodes)) for name, episodes in (("show", 12), ("other", 9)))
    words = ["sweep", "--corpus", f"{show}:0.75", "--corpus", f"{other}:0.25", "--base", str(base)]
    return [*words, "--persona", "joey", "--out", str(at / "sweep"), "--minutes-per-trial", "0.15"]


def test_a_sweep_ends_with_a_table_and_a_command(tmp_path: Path) -> None:
    words = asked(tmp_path)
    done = here(*words, "--trials", "2", at=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert "Trial 0 (0 of 2 done): learning rate 0.001, rank 16, prompt weight 0, masked share 0.25" in done.stderr
    *table, empty, command = done.stdout.splitlines()
    assert command.startswith("echochamber train --corpus ")
    assert f"--out {tmp_path / 'sweep' / 'best'}" in command
    assert empty == ""
    assert max(map(len, table)) <= 80
    assert [line.split()[1] for line in table[-2:]] == ["complete"] * 2
    assert all(word in " ".join(table).split() for word in ("trial", "learning", "weight", "masked", "score", "0.75"))
    written = (tmp_path / "sweep" / "sweep.md").read_text()
    assert command in written
    assert "| trial | state | learning rate | rank |" in written

    again = here(*words, "--trials", "2", "--json", at=tmp_path)
    assert (again.exit_code, again.stderr) == (0, "")
    found = json.loads(again.stdout)
    assert (found["done"], found["of"], found["command"]) == (2, 2, command)
    assert found["trials"][0]["number"] == found["best"]
    assert found["trials"][0]["score"] <= found["trials"][1]["score"]
    assert {"bits_per_byte", "persona_gain", "tokens", "minutes"} <= set(found["trials"][0]["facts"])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (["--corpus", "/nowhere/at-all:0.5"], "Error: there is no corpus folder /nowhere/at-all.\n"),
        (["--corpus", "casual-corpus"], "Error: give every corpus a weight"),
        (["--persona", "chandler"], "Error: nobody called Chandler Bing speaks in the corpus show.\n"),
        (["--trials", "0"], "Invalid value for '--trials'"),
    ],
)
def test_what_is_refused_exits_with_2_and_one_sentence(tmp_path: Path, change: list[str], complaint: str) -> None:
    refused = here(*asked(tmp_path), *change, at=tmp_path)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert isinstance(refused.exception, SystemExit)
    assert complaint in refused.stderr
    assert not (tmp_path / "sweep").exists()
