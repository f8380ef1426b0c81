"""`echochamber corpus import` and `inspect`, as a person types them."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from echochamber.cli import app
from echochamber.corpus_commands import import_
from tests.toys import toy_scenes
from tests.training.conftest import write_corpus
from tests.training.imports.exports import chatter, write_telegram, write_whatsapp
from training.imports.conversations import SILENCE_HOURS
from training.imports.sources import MESSENGERS

ROOT = Path(__file__).parents[1]


def here(*words: object, at: Path) -> Result:
    """Run the command line in this process, wide enough to break no line."""
    places = {"CACHE_DIR": str(at / "cache"), "COLUMNS": "300", "NO_COLOR": "1"}
    return CliRunner().invoke(app("corpus"), ["corpus", *map(str, words)], env=places)


def in_help(done: Result) -> str:
    return " ".join(done.stdout.split())


def test_the_group_shows_both_commands(tmp_path: Path) -> None:
    done = here("--help", at=tmp_path)
    assert done.exit_code == 0
    assert "import Turn a chat's export into a corpus" in in_help(done)
    assert "inspect Show what is in a corpus" in in_help(done)


def test_what_the_help_says_is_what_the_importer_does() -> None:
    defaults = {name: one.default for name, one in inspect.signature(import_).parameters.items()}
    assert defaults["silence"] == SILENCE_HOURS
    assert [one.value for one in type(defaults["messenger"])] == ["auto", *MESSENGERS]


def test_from_an_export_to_the_next_command(tmp_path: Path) -> None:
    export = write_whatsapp(tmp_path / "_chat.txt", chatter(turns=5, people=("Ann [bold]Smith", "Bo")))
    imported = here("import", export, "--out", tmp_path / "my chat", at=tmp_path)
    assert (imported.exit_code, imported.stderr) == (0, "")
    assert "4 conversations from whatsapp, 4 of them between two people or more; 20 lines." in imported.stdout
    assert "Ann [bold]Smith     12  60.0 %" in imported.stdout
    assert "Left out: 1 without words: attachments" in imported.stdout
    assert "Dates are read day first: line 2 can be read no other way." in imported.stdout
    command = f"echochamber train --corpus '{tmp_path}/my chat' --persona 'Ann [bold]Smith' --out runs/mine"
    assert imported.stdout.rstrip().endswith(command)

    looked = here("inspect", tmp_path / "my chat", "--base", "none", at=tmp_path)
    assert (looked.exit_code, looked.stderr) == (0, "")
    assert "my chat: 4 conversations, 4 scenes of two turns or more" in looked.stdout
    assert "line 3 of" not in looked.stdout + imported.stdout


def test_json_is_all_of_stdout_and_has_no_key(tmp_path: Path) -> None:
    export = write_telegram(tmp_path / "result.json", chatter())
    imported = here("import", export, "--out", tmp_path / "mine", "--pseudonyms", "--json", at=tmp_path)
    answer = json.loads(imported.stdout)
    assert answer["speakers"] == {"Avery": 8, "Blake": 8}
    assert (answer["messenger"], answer["lines"], answer["left_out"]) == ("telegram", 16, {})
    assert answer["next"] == f"echochamber train --corpus {tmp_path}/mine --persona Avery --out runs/mine"
    assert "Smith" not in imported.stdout
    assert "no file holds it:\n  Ann Smith is Avery\n  Bo is Blake\n" in imported.stderr

    looked = here("inspect", tmp_path / "mine", "--base", "none", "--top", 1, "--json", at=tmp_path)
    assert json.loads(looked.stdout)["speakers"][1] == {"name": "Blake", "lines": 8, "words": 40, "taught": True}


def test_the_options_reach_the_importer(tmp_path: Path) -> None:
    export = write_telegram(tmp_path / "export", chatter(people=("Ann", "Bo", "Cy"), turns=6))
    words = ("import", export, "--from", "telegram", "--silence", 0.5, "--without", "Bo", "--json")
    answer = json.loads(here(*words, "--out", tmp_path / "mine", at=tmp_path).stdout)
    assert answer["speakers"] == {"Ann": 8, "Cy": 8}
    assert here("import", export, "--from", "pigeon", "--out", tmp_path / "x", at=tmp_path).exit_code == 2
    assert here("import", export, "--silence", "0", "--out", tmp_path / "x", at=tmp_path).exit_code == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("import", "nowhere.json", "--out", "mine"), "Error: there is no file or folder nowhere.json."),
        (("import", "pyproject.toml", "--out", "mine"), "Error: pyproject.toml is not a WhatsApp export: no line"),
        (("import", "pyproject.toml", "--out", "."), "Error: . is there already: name another folder in --out"),
        (("inspect", "/nowhere/at-all"), "Error: there is no corpus folder /nowhere/at-all."),
    ],
)
def test_what_is_refused_exits_with_2_and_one_sentence(
    words: tuple[str, ...], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    done = here(*words, at=tmp_path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(complaint)
    assert done.stderr.count("\n") == 1


def test_inspect_shows_the_way_of_the_lines(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "toy-corpus", toy_scenes())
    done = here("inspect", folder, "--base", "none", "--top", 1, at=tmp_path)
    assert done.exit_code == 0, done.stderr
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "Joey Tribbiani 48 496 50.0 % taught" in rows
    assert "and 1 more" in rows
    assert rows[rows.index("96 in the files") :][:4] == [
        "96 in the files", "96 in scenes", "-8 held out for validation s01_e05_c01_u001",
        "-44 of speakers who are not taught (kept as context) s01_e00_c01_u001",
    ]  # fmt: skip
    assert "Held out, whole episodes: 1 for validation." in rows


def test_a_corpus_that_cannot_be_trained_on_is_shown_with_a_sentence(tmp_path: Path) -> None:
    done = here("inspect", write_corpus(tmp_path / "toy-corpus", toy_scenes(2)), "--base", "none", at=tmp_path)
    assert done.exit_code == 0
    assert "16  in scenes" in done.stdout
    assert done.stderr.startswith("It cannot be trained on like this: ")


def test_a_name_cannot_colour_the_terminal(tmp_path: Path) -> None:
    scenes = toy_scenes(speakers=("\x1b[31mRed", "[red]Ann[/red]"))
    done = here("inspect", write_corpus(tmp_path / "toy-corpus", scenes), "--base", "none", at=tmp_path)
    assert "\x1b" not in done.stdout
    assert "[red]Ann[/red]" in done.stdout


def test_importing_needs_no_libraries_of_training(tmp_path: Path) -> None:
    export = write_telegram(tmp_path / "result.json", chatter())
    program = f"""
import sys
sys.argv = ["echochamber", "corpus", "import", {str(export)!r}, "--out", {str(tmp_path / "mine")!r}]
from echochamber.cli import main
try:
    main()
finally:
    print([name for name in ("torch", "transformers", "convokit") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True, env=os.environ
    )
    assert done.stderr == "[]\n"
