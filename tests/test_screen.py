"""What a command says beside its result, and how it refuses."""

import errno

import pytest
import typer

from bot.settings import SettingsError
from echochamber.screen import REFUSED, Screen


class OneError(RuntimeError):
    """What the command under test may come to."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OneError("there is no [bold]soup[/bold]"), "Error: there is no [bold]soup[/bold]."),
        (OneError("a whole sentence."), "Error: a whole sentence."),
        (SettingsError("PORT must be a number"), "Error: PORT must be a number."),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.json"),
            "Error: cannot write a.json: No space left on device.",
        ),
        (OSError(errno.ENOSPC, "the disk is full"), "Error: cannot write the file: the disk is full."),
        (OneError("no folder a:100:b"), "Error: no folder a:100:b."),
    ],
)
def test_what_is_refused_is_one_line_and_exit_code_2(
    error: Exception, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    with pytest.raises(typer.Exit) as ended, Screen().refusing(OneError, OSError):
        raise error
    assert ended.value.exit_code == REFUSED == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", sentence + "\n")


def test_what_is_not_named_is_not_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="disk"), Screen().refusing(OneError):
        raise OSError("disk")
    assert capsys.readouterr().err == ""
