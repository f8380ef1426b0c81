"""What the documents say is what the code does."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from bot.settings import settings_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").glob("*.md")]


def settings_rows() -> str:
    """Render the README's table of settings."""
    rows = []
    for row in settings_table():
        default = f"`{row.default}`" if row.default else ""
        rows.append(f"| `{row.name}` | {default} | {row.description} |")
    return "\n".join(["| setting | default | what it is |", "|---|---|---|", *rows])


def test_the_settings_table_equals_the_settings():
    assert README.partition("<!-- settings -->\n")[2].partition("\n<!-- /settings -->")[0] == settings_rows()


def test_the_commands_table_equals_the_help():
    done = subprocess.run(
        [sys.executable, "-c", "from echochamber.cli import main; main()", "--help"],
        capture_output=True, text=True, check=True, env={"PATH": "", "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip
    in_readme = set(re.findall(r"^\| `echochamber (\w+)` \|", README, flags=re.MULTILINE))
    in_help = set(re.findall(r"^[│| ]+([a-z]+)  +\S", done.stdout.partition("Commands")[2], flags=re.MULTILINE))
    assert in_readme == in_help


def test_the_train_options_in_the_readme_exist():
    help_of = [sys.executable, "-c", "from echochamber.cli import main; main()", "train", "--help"]
    environment = {"PATH": "", "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(help_of, capture_output=True, text=True, check=True, env=environment)
    line = next(line for line in README.splitlines() if line.startswith(".venv/bin/echochamber train"))
    assert [option for option in re.findall(r"--[a-z-]+", line) if option not in done.stdout] == []


def tree() -> list[tuple[str, str]]:
    """Return (path, caption) of each line of the README's tree."""
    block = README.partition("## The house\n```\n")[2].partition("\n```")[0]
    entries, folder = [], ""
    for line in block.splitlines():
        name, caption = line.split(maxsplit=1)
        folder = folder if line.startswith(" ") else name
        entries.append((folder + name if line.startswith(" ") else name, caption))
    return entries


@pytest.mark.parametrize(("path", "caption"), tree())
def test_the_tree_names_what_exists(path, caption):
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / f"{path}.py").is_file()


def test_the_tree_names_every_package():
    assert {"persona/", "bot/", "training/", "echochamber/"} <= {path for path, _ in tree()}


def test_every_make_target_in_the_documents_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    named = set(re.findall(r"(?:`|^|TORCH=cuda )make (?:-s )?([a-z]+)", text, flags=re.MULTILINE))
    assert {"chat", "test"} <= named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = sum(project["optional-dependencies"].values(), project["dependencies"])
    smollm2 = [line for line in (ROOT / "requirements-smollm2.txt").read_text().splitlines() if line[0] != "#"]
    names = {re.match(r"[\w.-]+", requirement).group() for requirement in declared + smollm2} - {"echochamber"}
    assert set(re.findall(r"^\| `([^`]+)` \| [a-z ]+ \| \S", DECISIONS, flags=re.MULTILINE)) == names


def test_pre_commit_hooks_are_local():
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    assert [hook["id"] for hook in repos[0]["hooks"]] == ["ruff-check", "ruff-format", "mypy"]
    assert {hook["language"] for hook in repos[0]["hooks"]} == {"system"}


def test_the_licence_is_apache():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
