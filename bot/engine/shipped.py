"""Find checkpoints on disk without loading them. Standard library only."""

from importlib.resources import files
from pathlib import Path

from persona.card import FILE_NAME

NAME = "friends"


def shipped_checkpoint() -> Path | None:
    """Return the folder of the shipped adapter: inside the installed package, else in the checkout."""
    package = Path(str(files("bot")))
    for folder in (package / "models" / NAME, package.parent / "models" / NAME):
        if (folder / FILE_NAME).is_file():
            return folder
    return None


def checkpoint_folder(folder: Path) -> Path:
    """Return `folder`, or its subfolder `model` where `folder` is that of a training run."""
    nested = folder / "model"
    return nested if (nested / FILE_NAME).is_file() and not (folder / FILE_NAME).is_file() else folder
