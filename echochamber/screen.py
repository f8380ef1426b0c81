"""What a command says beside its result: sentences on the error stream, and a refusal with exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from bot.settings import SettingsError

REFUSED = 2


class Screen:
    """The error stream of one command; a progress bar on the same `console` stays below what is told."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)

    def tell(self, sentence: str) -> None:
        """Write a sentence in one line, however long, as it is: no markup, no colours."""
        self.console.print(sentence, markup=False, emoji=False, highlight=False, soft_wrap=True)

    @contextmanager
    def refusing(self, *errors: type[Exception]) -> Iterator[None]:
        """Tell one of `errors`, or a wrong setting, as a sentence, and end the command; raises typer.Exit."""
        refused: tuple[type[Exception], ...] = (SettingsError, *errors)
        try:
            yield
        except refused as error:
            self.tell(f"Error: {_sentence(error)}.")
            raise typer.Exit(REFUSED) from error


def _sentence(error: Exception) -> str:
    """Return what is wrong without a full stop; of the system's errors only those of writing a file come here."""
    if isinstance(error, OSError):
        return f"cannot write {error.filename or 'the file'}: {error.strerror or error}"
    return str(error).removesuffix(".")
