"""The house keeps its import rules, and the checker that says so notices every way to break them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house_rules import HOMES, modules, violations

ROOT = Path(__file__).parents[1]

PLANTED = {
    "persona imports bot": ("persona.guard", "from bot.engine import protocol"),
    "persona imports a third party": ("persona.guard", "import regex"),
    "persona imports torch": ("persona.guard", "import torch"),
    "bot imports training": ("bot.app", "import training.train"),
    "bot imports training inside a function": ("bot.app", "def f():\n    from training import train"),
    "bot imports training for its types": ("bot.app", "if TYPE_CHECKING:\n    from training.train import Run"),
    "bot imports training by a string": ("bot.app", "importlib.import_module('training.train')"),
    "bot imports training by a bare string call": ("bot.app", "import_module('training.train')"),
    "bot imports training by __import__": ("bot.app", "__import__('training')"),
    "bot imports training relatively": ("bot.app", "from ..training import train"),
    "bot imports echochamber": ("bot.app", "import echochamber.cli"),
    "training imports a platform": ("training.train", "from bot.platforms import discord"),
    "training imports all of bot": ("training.train", "import bot"),
    "training imports echochamber": ("training.train", "from echochamber import cli"),
    "torch outside the engine": ("bot.replier", "import torch.nn"),
    "torch in the CLI": ("echochamber.cli", "def f():\n    import torch"),
    "safetensors outside the engine": ("bot.app", "from safetensors.torch import load_file"),
    "redis outside the history": ("bot.replier", "import redis.asyncio"),
    "discord outside its platform": ("bot.replier", "import discord"),
    "telegram in discord's file": ("bot.platforms.discord", "from telegram import Update"),
    "pydantic outside the settings": ("bot.replier", "from pydantic import SecretStr"),
    "convokit outside the corpus": ("training.train", "from convokit import Corpus"),
    "an embedder outside its measure": ("training.train", "def f():\n    import sentence_transformers"),
    "a third party without a home": ("bot.replier", "import requests"),
    "the environment as an attribute": ("bot.app", "import os\nos.environ['X']"),
    "the environment by getenv": ("training.train", "import os\nos.getenv('X')"),
    "the environment by its name": ("bot.app", "from os import environ"),
    "the settings below the root": ("bot.replier", "from bot.settings import Settings"),
    "the settings below the root, as a module": ("bot.replier", "from bot import settings"),
    "the app below the root": ("bot.platforms.telegram", "from bot.app import run"),
    "pickle": ("training.train", "import pickle"),
    "pickle's loader": ("training.train", "from pickle import loads"),
    "joblib": ("training.train", "import joblib"),
    "somebody's code from the hub": ("bot.engine.bases", "load(folder, trust_remote_code=True)"),
    "somebody's code by a dictionary": ("bot.engine.bases", "load(folder, **{'trust_remote_code': True})"),
    "weights that are pickles": ("bot.engine.bases", "torch.load(path, weights_only=False)"),
    "a computed import": ("bot.app", "importlib.import_module(name)"),
}

ALLOWED = {
    "persona's neighbours": ("persona.guard", "import re\nfrom persona.dialogue import Scene"),
    "a sibling by a relative import": ("bot.replier", "from .history import History"),
    "a package's own relative import": ("bot.platforms.__init__", "from .errors import PlatformError"),
    "training measures what is served": ("training.compare", "from bot.engine.chooser import Chooser"),
    "the engine's torch": ("bot.engine.local", "def f():\n    import torch"),
    "the composition module": ("echochamber.cli", "from bot.app import run\nfrom training.train import train"),
    "the settings in the root": ("bot.app", "from bot.settings import Settings"),
    "the environment's one reader": ("bot.settings", "import os\nos.environ"),
    "the name of pickle's error": ("bot.engine.bases", "from pickle import UnpicklingError"),
    "a stranger's code refused": ("bot.engine.bases", "load(folder, trust_remote_code=False)"),
    "os for other things": ("bot.valkey", "import os\nos.kill(1, 0)"),
}


@pytest.mark.parametrize(("module", "source"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(module, source):
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(("module", "source"), ALLOWED.values(), ids=ALLOWED)
def test_what_the_rules_allow_passes(module, source):
    assert violations(module, source) == []


def test_our_own_code_keeps_the_rules():
    found = [violation for module, source in modules(ROOT) for violation in violations(module, source)]
    assert found == []


def test_every_package_is_read():
    assert {name.split(".")[0] for name, _ in modules(ROOT)} == {"persona", "bot", "training", "echochamber"}


def test_a_third_party_has_at_most_one_module_in_a_package():
    packages = {library: [home.rpartition(".")[0] or home for home in homes] for library, homes in HOMES.items()}
    assert {library: where for library, where in packages.items() if len(where) != len(set(where))} == {}


def test_no_home_is_listed_in_vain():
    existing = {name.removesuffix(".__init__") for name, _ in modules(ROOT)}
    assert {home for homes in HOMES.values() for home in homes} - existing == set()


SLOW = (
    "torch", "transformers", "peft", "gguf", "convokit", "matplotlib", "sentence_transformers", "discord", "telegram",
)  # fmt: skip


@pytest.mark.parametrize("statement", ["import bot", "import bot.app", "from echochamber.cli import main"])
def test_importing_loads_nothing_slow(statement):
    program = f"{statement}\nimport sys\nprint([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_help_loads_nothing_slow():
    program = f"""
import sys
from echochamber.cli import main
sys.argv = ["echochamber", "--help"]
try:
    main()
finally:
    print([name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == "[]\n"
    assert "chat" in done.stdout
