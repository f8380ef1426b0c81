"""Find the checkpoint that ships with the project. Standard library only."""

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
