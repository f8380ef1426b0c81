"""Which messenger an export comes from."""

from pathlib import Path

import pytest

from tests.training.imports.exports import chatter, discord_message, write_discord, write_telegram, write_whatsapp
from training.imports.chat import ChatError
from training.imports.folder import check_is_new
from training.imports.sources import MESSENGERS, read_export


def written(messenger: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    if messenger == "telegram":
        return write_telegram(folder / "result.json", chatter())
    if messenger == "discord":
        return write_discord(folder / "talk.json", [discord_message(*line) for line in chatter()])
    return write_whatsapp(folder / "_chat.txt", chatter())


@pytest.mark.parametrize("messenger", MESSENGERS)
def test_a_file_or_its_folder_is_told_by_what_it_holds(messenger: str, tmp_path: Path) -> None:
    path = written(messenger, tmp_path / "export")
    assert read_export(path).messenger == messenger
    assert read_export(path.parent).messenger == messenger
    assert read_export(path.rename(tmp_path / "renamed")).messenger == messenger


def test_what_was_said_to_be_another_messengers_is_read_as_that(tmp_path: Path) -> None:
    path = written("telegram", tmp_path)
    with pytest.raises(ChatError, match="no line begins with a date"):
        read_export(path, "whatsapp")
    with pytest.raises(ChatError, match="not an export of DiscordChatExporter"):
        read_export(path, "discord")
    with pytest.raises(ChatError, match="there is no messenger 'pigeon' here; choose auto, telegram"):
        read_export(path, "pigeon")


@pytest.mark.parametrize("name", ["nowhere", "empty", "two", "binary.txt", "silent.json"])
def test_what_is_no_export_is_said(name: str, tmp_path: Path) -> None:
    complaints = {
        "nowhere": "there is no file or folder", "empty": "holds neither a result.json nor other",
        "two": "holds 2 files of", "binary.txt": "is not text in UTF-8: byte 1 fits no character",
        "silent.json": "holds no message with words",
    }  # fmt: skip
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    for number in "12":
        write_whatsapp(tmp_path / "two" / f"{number}.txt", chatter())
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe3\x001\x00")
    write_telegram(tmp_path / "silent.json", [])
    with pytest.raises(ChatError, match=complaints[name]):
        read_export(tmp_path / name)


def test_a_place_that_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    with pytest.raises(ChatError, match=r"cannot read .*: File name too long"):
        read_export(tmp_path / ("n" * 300))
    with pytest.raises(ChatError, match=r"cannot write .*: File name too long"):
        check_is_new(tmp_path / ("n" * 300))
