"""WhatsApp's text export: every layout, the order of day and month, and WhatsApp's own words."""

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from tests.training.imports.exports import LRM, NARROW, said, unix
from training.imports.chat import SERVICE, WORDLESS, ChatError, ChatExport
from training.imports.sources import read_export
from training.imports.whatsapp import read_whatsapp

NEW_YEARS_EVE = "2023-12-31T21:15:00"


def read(tmp_path: Path, text: str) -> ChatExport:
    path = tmp_path / "_chat.txt"
    path.write_text(text, encoding="utf-8")
    return read_whatsapp(path)


LAYOUTS = {
    "Android, English (US)": "12/31/23, 9:15 PM - Ann: Hi: there",
    "Android, a narrow space before PM": f"12/31/23, 9:15{NARROW}PM - Ann: Hi: there",
    "Android, English (UK)": "31/12/2023, 21:15 - Ann: Hi: there",
    "Android, English (Canada)": "2023-12-31, 9:15 p.m. - Ann: Hi: there",
    "Android, English (South Africa)": "2023/12/31, 9:15 pm - Ann: Hi: there",
    "Android, German": "31.12.23, 21:15 - Ann: Hi: there",
    "Android, Spanish": "31/12/23, 9:15 p. m. - Ann: Hi: there",
    "Android, Colombian, no comma": "31/12/2023 9:15 p.\u00a0m. - Ann: Hi: there",
    "Android, Danish": "31.12.2023 21.15 - Ann: Hi: there",
    "Android, Finnish": "31.12.2023 klo 21.15 - Ann: Hi: there",
    "Android, Bulgarian": "31.12.23 г., 21:15 ч. - Ann: Hi: there",
    "Android, Czech": "31. 12. 2023 21:15 - Ann: Hi: there",
    "Android, Korean": "2023. 12. 31. 오후 9:15 - Ann: Hi: there",
    "Android, Arabic figures": "٣١/١٢/٢٠٢٣، ٩:١٥ م - Ann: Hi: there",
    "iPhone, German": "[31.12.23, 21:15:00] Ann: Hi: there",
    "iPhone, English (US)": f"[12/31/23, 9:15:00{NARROW}PM] Ann: Hi: there",
    "iPhone, English (UK)": "[31/12/2023, 21:15:00] Ann: Hi: there",
    "iPhone, Dutch": "[31-12-2023 21:15:00] Ann: Hi: there",
    "iPhone, Chinese": "[2023/12/31 下午9:15:00] Ann: Hi: there",
    "iPhone, Hebrew": "[\u200f31.12.2023, 21:15:00] Ann: Hi: there",
    "iPhone, marks in front": f"\ufeff{LRM}[31.12.23, 21:15:00] Ann: Hi: there",
    "iPhone, not a contact": f"[31.12.23, 21:15:00] ~{NARROW}Ann: Hi: there",
    "iPhone, before 2016": "31/12/2023 21:15:00: Ann: Hi: there",
}


@pytest.mark.parametrize("line", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_message(tmp_path: Path, line: str) -> None:
    export = read(tmp_path, f"{line}\nand more\n")
    assert said(export) == [[("Ann", "Hi: there\nand more")]]
    assert export.chats[0][0].time == unix(NEW_YEARS_EVE)


@pytest.mark.parametrize(
    ("clock", "hour"), [("12:05 AM", 0), ("1:05 AM", 1), ("12:05 PM", 12), ("11:05 PM", 23), ("13:05", 13), ("0:05", 0)]
)
def test_both_clocks(tmp_path: Path, clock: str, hour: int) -> None:
    export = read(tmp_path, f"12/31/23, {clock} - Ann: Hi\n")
    assert export.chats[0][0].time == unix(f"2023-12-31T{hour:02d}:05:00")


def dated(*dates: str, clock: str = "21:15") -> str:
    return "".join(f"{date}, {clock} - Ann: on {date}\n" for date in dates)


@pytest.mark.parametrize(
    ("text", "days", "remark"),
    [
        (dated("1/2/23", "13/2/23"), ["2023-02-01", "2023-02-13"], "day first: line 2 can be read no other way"),
        (dated("1/2/23", "2/13/23"), ["2023-01-02", "2023-02-13"], "month first: line 2 can be read no other way"),
        (dated("11/2/23", "12/2/23", "1/3/23"), ["2023-02-11", "2023-02-12", "2023-03-01"], "day first: the other way"),
        (dated("2/11/23", "2/12/23", "3/1/23"), ["2023-02-11", "2023-02-12", "2023-03-01"], "month first: the other"),
        (dated("2023/02/11", "2023/02/12"), ["2023-02-11", "2023-02-12"], "year first: they begin with four figures"),
        (dated("1/2/23"), ["2023-02-01"], "day first: nothing in the file decides it, so this is a guess"),
        (dated("1/2/23", clock="9:15 PM"), ["2023-01-02"], "month first: nothing in the file decides it"),
    ],
)
def test_the_whole_file_gives_away_the_order_of_day_and_month(
    tmp_path: Path, text: str, days: list[str], remark: str
) -> None:
    export = read(tmp_path, text)
    assert [message.time for message in export.chats[0]] == [unix(f"{day}T21:15:00") for day in days]
    assert f"Dates are read {remark}" in export.remarks[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (dated("13/2/23", "2/13/23"), "mixes orders of day and month: see the dates in lines 1 and 2"),
        (dated("31/1/23", "30/2/23"), "line 2 begins with a date or time that does not exist"),
        (dated("31/1/23", clock="25:00"), "line 1 begins with a date or time that does not exist"),
        (dated("1/1/23", clock="9:15 xx") + dated("2/1/23", clock="9:15 yy"), "line 1: the words for morning"),
        ("Dear diary,\n12 people came: all of them late.\n", "no line begins with a date, a time and a name"),
        ("", "no line begins with a date"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ChatError, match=complaint) as refused:
        read(tmp_path, text)
    assert "_chat.txt" in str(refused.value)
    assert "late" not in str(refused.value)


ANDROID = f"""\
12/31/23, 9:00 PM - Messages and calls are end-to-end encrypted. Tap to learn more.
12/31/23, 9:00 PM - Ann created group "Soup: the club"
12/31/23, 9:00 PM - Ann changed the subject from "Soup: the club" to "Soup: forever"
12/31/23, 9:01 PM - Ann: <Media omitted>
12/31/23, 9:02 PM - Ann: {LRM}IMG-20231231-WA0001.jpg (file attached)
The soup of last year
12/31/23, 9:03 PM - Bo: PTT-20231231-WA0002.opus (archivo adjunto)
12/31/23, 9:03 PM - Bo: All soups (new).v2.pdf (archivo adjunto)
for you
12/31/23, 9:03 PM - Bo: look into soups.pdf (again)
12/31/23, 9:04 PM - Bo: This message was deleted
12/31/23, 9:05 PM - Bo: null
12/31/23, 9:06 PM - Bo: It was <3 degrees <This message was edited>
12/31/23, 9:07 PM - Bo:
12/31/23, 9:08 PM - Bo: <sigh>
12/31/23, 9:09 PM - Bo: if a<b and c>d: <b>bold</b>
"""
IPHONE = f"""\
[31.12.23, 21:00:00] Soup Club: {LRM}Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.
[31.12.23, 21:00:01] Soup Club: {LRM}Ann hat diese Gruppe erstellt
{LRM}[31.12.23, 21:01:00] Ann: {LRM}Bild weggelassen
{LRM}[31.12.23, 21:02:00] Ann: The soup of last year {LRM}<Anhang: 12-PHOTO.jpg> {LRM}<Die Nachricht wurde bearbeitet.>
{LRM}[31.12.23, 21:03:00] Bo: soup.pdf • {LRM}2 Seiten {LRM}Dokument weggelassen
[31.12.23, 21:04:00] Bo: {LRM}Diese Nachricht wurde gelöscht.
[31.12.23, 21:06:00] Bo: @\u2068Ann Smith\u2069 knows {LRM}<Diese Nachricht wurde bearbeitet.>
[31.12.23, 21:07:00] Bo: {LRM}UMFRAGE:
Which soup?
{LRM}OPTION: leek ({LRM}1 Stimme)
[31.12.23, 21:08:00] Bo: Diese Nachricht wurde gelöscht.
"""


def test_androids_own_words_are_left_out_and_captions_stay(tmp_path: Path) -> None:
    export = read(tmp_path, ANDROID)
    assert said(export) == [
        [
            ("Ann", "The soup of last year"), ("Bo", "for you"), ("Bo", "look into soups.pdf (again)"),
            ("Bo", "It was <3 degrees"), ("Bo", "<sigh>"),
            ("Bo", "if a<b and c>d: <b>bold</b>"),
        ]
    ]  # fmt: skip
    assert export.dropped == {SERVICE: 3, WORDLESS: 5}


def test_iphones_own_words_are_left_out_in_any_language(tmp_path: Path) -> None:
    export = read(tmp_path, IPHONE)
    assert said(export) == [[("Ann", "The soup of last year"), ("Bo", "@Ann Smith knows"), ("Bo", "Which soup?")]]
    assert export.dropped == {WORDLESS: 6}
    assert "Soup Club" not in export.names


def test_a_pasted_line_of_another_layout_does_not_begin_a_message(tmp_path: Path) -> None:
    pasted = "2016-04-29 10:30:00 - Cy: pasted\n12/30/23, 9:00 PM - Cy: pasted, too"
    export = read(tmp_path, f"[31.12.23, 21:00:00] Ann: look\n{pasted}\n[31.12.23, 21:01:00] Bo: ok\n" * 2)
    assert said(export)[0][:2] == [("Ann", f"look\n{pasted}"), ("Bo", "ok")]


def test_lines_before_the_first_message_are_counted(tmp_path: Path) -> None:
    export = read(tmp_path, "\nA note to self\n31.12.23, 21:00 - Ann: look\n")
    assert (said(export), export.dropped) == ([[("Ann", "look")]], {"lines before the first message": 1})


def test_the_zip_file_that_phones_send(tmp_path: Path) -> None:
    path = tmp_path / "WhatsApp Chat - Ann.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("_chat.txt", "\ufeff31.12.23, 21:00 - Ann: look\r\nhere\r\n")
        archive.writestr("notes.txt", "other")
        archive.writestr("IMG-1.jpg", b"\xff")
    assert said(read_export(path)) == [[("Ann", "look\nhere")]]
    with ZipFile(path, "w") as archive:
        archive.writestr("IMG-1.jpg", b"\xff")
    with pytest.raises(ChatError, match="holds 0 text files"):
        read_export(path)
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("_chat.txt", "31.12.23, 21:00 - Ann: look\n" * 900)
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + b"\xff" * 20 + whole[80:])
    with pytest.raises(ChatError, match="is a zip file that cannot be unpacked"):
        read_export(path)
    path.write_bytes(path.read_bytes()[:-30] + b"PK\x05\x06")
    with pytest.raises(ChatError):
        read_export(path)
