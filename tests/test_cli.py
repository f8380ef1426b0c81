"""The command line as people start it: in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.engine.bases import sha256_of
from echochamber.cli import COMMANDS
from persona.card import BaseCard, Card
from persona.characters import friends
from tests.toys import toy_llama

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights."""
    folder = toy_llama(tmp_path_factory.mktemp("toy") / "model")
    card = Card(BaseCard("toy", sha256_of(folder / "model.safetensors")), "chatml", "full", friends())
    card.write(folder)
    return folder


@pytest.fixture
def echochamber(tmp_path: Path):
    """Run `echochamber` with everything it keeps under `tmp_path`."""

    def start(*arguments: str | Path, said: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        places = {"DATA_DIR": str(tmp_path / "data"), "CACHE_DIR": str(tmp_path / "cache"), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "echochamber", *map(str, arguments)], input=said, capture_output=True, text=True,
            timeout=120, check=False, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **places, **environment},
        )  # fmt: skip

    return start


def test_help_lists_every_command(echochamber):
    done = echochamber("--help")
    assert done.returncode == 0
    for name, (about, _) in COMMANDS.items():
        assert name in done.stdout
        assert about in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(echochamber, name: str):
    done = echochamber(name, "--help")
    assert done.returncode == 0
    # What stands for a command that was not asked for has no option but --help, and no commands of its own.
    assert f"Usage: echochamber {name}" in done.stdout
    if name != "run":
        assert done.stdout.count(" --") > 1 or "Commands" in done.stdout


def test_a_seed_repeats_a_piped_conversation_byte_for_byte_and_stores_nothing(echochamber, model, tmp_path):
    said = "hi there\n/persona ross\n\nwhat about the soup?\nand you?\n"
    first, again = (echochamber("chat", "--model", model, "--seed", "7", said=said) for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert len(first.stdout.splitlines()) == 3
    assert again.stdout == first.stdout
    assert "You are talking to Ross Geller now." in first.stderr
    assert not (tmp_path / "data").exists()


def test_a_conversation_goes_on_in_the_next_start(echochamber, model, tmp_path):
    first = echochamber("chat", "--model", model, "--persona", "phoebe", "--json", said="hi there\n")
    assert json.loads(first.stdout)["persona"] == "phoebe"
    assert (tmp_path / "data" / "valkey").is_dir()
    again = echochamber("chat", "--model", model, "--json", said="/persona\nhello\n")
    assert json.loads(again.stdout)["persona"] == "phoebe"
    assert "You are talking to Phoebe Buffay" in again.stderr
    assert (first.returncode, again.returncode) == (0, 0)


def test_nothing_said_is_no_error(echochamber, model):
    done = echochamber("chat", "--fresh", "--model", model)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--persona", "gunther"), "Nobody here is called 'gunther'; choose one of joey, chandler"),
        (("--model", "nowhere"), "so it is not a checkpoint of EchoChamber."),
        (("--device", "abacus"), "DEVICE must be auto, cpu"),
        (("--seed", "-1"), "Invalid value for '--seed'"),
    ],
)
def test_what_cannot_be_used_is_a_sentence_and_exit_code_2(echochamber, model, arguments, sentence: str):
    given = arguments if arguments[0] == "--model" else (*arguments, "--model", model)
    done = echochamber("chat", "--fresh", *given, said="hi\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_model_is_a_sentence_and_exit_code_1(echochamber, model, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in model.iterdir():
        (broken / file.name).write_bytes(
            file.read_bytes()[:100] if file.suffix == ".safetensors" else file.read_bytes()
        )
    done = echochamber("chat", "--fresh", "--model", broken, said="hi\n" * 50)
    assert done.returncode == 1
    assert "cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_without_a_token_says_what_to_set(echochamber):
    done = echochamber("run", DISCORD_TOKEN="", TELEGRAM_TOKEN="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "DISCORD_TOKEN" in done.stderr
    assert "TELEGRAM_TOKEN" in done.stderr
