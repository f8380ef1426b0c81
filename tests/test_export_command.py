"""`echochamber export` as a person types it: results on stdout, sentences on stderr, 2 where it refuses."""

from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from echochamber.export_command import export
from tests.toys import toy_llama
from tests.training.test_llamacpp import CONVERTER
from tests.training.test_publish import adapter_for


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return adapter_for(toy_llama(tmp_path / "llama"), tmp_path)


def run(*words: str, at: Path) -> Result:
    command = typer.Typer()
    command.command()(export)
    environment = {"CACHE_DIR": str(at / "cache"), "DATA_DIR": str(at / "data"), "HF_HUB_OFFLINE": "1"}
    return CliRunner().invoke(command, words, env=environment)


def asked(adapter: Path, at: Path) -> list[str]:
    return ["--model", str(adapter), "--out", str(at / "made")]


def test_a_checkpoint_is_exported_with_a_gguf(adapter: Path, tmp_path: Path) -> None:
    converter = tmp_path / "converter.py"
    converter.write_text(CONVERTER)
    done = run(*asked(adapter, tmp_path), "--dtype", "fp16", "--gguf", "--converter", str(converter), at=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "made"), str(tmp_path / "made" / "made-f16.gguf")]
    assert "Merging the adapter into llama." in done.stderr


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--model", "/nowhere"], "has no persona.json"),
        (["--gguf", "--converter", "/nowhere"], "there is no converter /nowhere"),
        (["--gguf", "--adapter"], "leave out --adapter"),
        (["--push", "joey"], "give OWNER/NAME"),
        (["--dtype", "int8"], "Invalid value for '--dtype'"),
    ],
)
def test_what_is_refused_exits_with_2_and_makes_nothing(
    adapter: Path, tmp_path: Path, more: list[str], complaint: str
) -> None:
    done = run(*asked(adapter, tmp_path), *more, at=tmp_path)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "made").exists()


def test_a_folder_that_is_there_is_refused(adapter: Path, tmp_path: Path) -> None:
    assert run(*asked(adapter, tmp_path), at=tmp_path).exit_code == 0
    again = run(*asked(adapter, tmp_path), at=tmp_path)
    assert again.exit_code == 2
    assert again.stderr == f"Error: {tmp_path / 'made'} exists already; give a folder that does not.\n"
