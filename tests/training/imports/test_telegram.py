"""Telegram Desktop's result.json: one chat, all chats, and the invalid JSON it writes at times."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.imports.exports import said, telegram_chat, telegram_message, unix
from training.imports.chat import BOTS, FORWARDED, NOT_TALK, SERVICE, WORDLESS, ChatError, ChatExport
from training.imports.telegram import read_telegram


def read(tmp_path: Path, whole: Any) -> ChatExport:
    path = tmp_path / "result.json"
    path.write_text(whole if isinstance(whole, str) else json.dumps(whole, indent=1), encoding="utf-8")
    return read_telegram(path)


MESSAGES = [
    {"id": 1, "type": "service", "date": "2024-01-01T09:00:00", "actor": "Ann", "action": "phone_call", "text": ""},
    {"id": 2, "type": "unsupported"},
    telegram_message("Ann", "Hello"),
    telegram_message("Bo", ["See ", {"type": "link", "text": "soup.example"}, " ", {"type": "bold", "text": "me"}]),
    telegram_message("Ann", "", photo="(File not included.)"),
    telegram_message("Ann", "The soup", photo="photos/photo_1.jpg", edited="2024-01-02T10:00:00"),
    telegram_message("Ann", "Soup is cancelled!", forwarded_from="The Soup Channel"),
    telegram_message("Ann", "From somebody who is gone", forwarded_from=None),
    telegram_message("Ann", "a gif", via_bot="@gif"),
    telegram_message("Bo", "", media_type="sticker", sticker_emoji="x"),
    telegram_message(None, "I am gone", from_id="user7"),
    telegram_message(None, "So am I", from_id="user8"),
]  # fmt: skip


def test_one_chat(tmp_path: Path) -> None:
    export = read(tmp_path, telegram_chat(MESSAGES))
    texts = [message.text for message in export.chats[0]]
    assert texts == ["Hello", "See soup.example me", "The soup", "I am gone", "So am I"]
    assert export.dropped == {SERVICE: 2, WORDLESS: 2, FORWARDED: 2, BOTS: 1}
    assert export.names == {"userAnn": ["Ann"], "userBo": ["Bo"], "user7": [], "user8": []}


def test_all_chats_of_an_account(tmp_path: Path) -> None:
    talk = telegram_chat([telegram_message("Ann", "Hello")])
    left = telegram_chat([telegram_message("Bo", "Bye")], "private_supergroup")
    others = [
        telegram_chat(MESSAGES[2:4], kind)
        for kind in ("bot_chat", "public_channel", "private_channel", "saved_messages", "replies")
    ]
    whole = {
        "about": "...",
        "personal_information": {"first_name": "Ann"},
        "contacts": {"list": [{"first_name": "Cy"}]},
        "chats": {"about": "...", "list": [*others, talk]},
        "left_chats": {"about": "...", "list": [left]},
    }
    export = read(tmp_path, whole)
    assert said(export) == [[("Ann", "Hello")], [("Bo", "Bye")]]
    assert export.dropped == {NOT_TALK: 10}


def test_a_person_is_known_by_id_and_shown_under_the_last_name(tmp_path: Path) -> None:
    messages = [
        telegram_message("Ann", "one", from_id="user5"),
        telegram_message("Ann Smith", "two", "2024-01-01T11:00:00", from_id="user5"),
        telegram_message("Ann", "three", "2024-01-01T12:00:00", from_id="user6"),
    ]
    export = read(tmp_path, telegram_chat(messages))
    assert export.names == {"user5": ["Ann", "Ann Smith"], "user6": ["Ann"]}
    assert [message.sender for message in export.chats[0]] == ["user5", "user5", "user6"]


def test_time_is_the_unix_time_where_there_is_one_else_the_date(tmp_path: Path) -> None:
    old = telegram_message("Ann", "old", "2018-03-04T05:06:07")
    del old["date_unixtime"]
    new = telegram_message("Bo", "new", "2018-03-04T05:06:06", date="2018-03-04T07:06:06")
    chat = read(tmp_path, telegram_chat([old, new])).chats[0]
    assert [(one.text, one.time) for one in chat] == [
        ("new", unix("2018-03-04T05:06:06")), ("old", unix("2018-03-04T05:06:07"))
    ]  # fmt: skip


def test_telegrams_invalid_json_is_mended(tmp_path: Path) -> None:
    emoji = {"type": "custom_emoji", "text": "!", "document_id": "BARE"}
    path = r"C:\x41 is no escape"
    chat = telegram_chat(
        [telegram_message("Ann", ["CONTROL", emoji]), telegram_message("Bo", f'{path} "document_id": 5')]
    )
    text = json.dumps(chat, indent=1).replace("CONTROL", r"soup\x1F\x0Atoday")
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    assert [one.text for one in read(tmp_path, text).chats[0]] == ["soup\x1f\ntoday!", f'{path} "document_id": 5']
    bare = text.replace('"BARE"', "video_files/sticker (2).webm")
    assert [one.text for one in read(tmp_path, bare).chats[0]] == ["soup\x1f\ntoday!", f'{path} "document_id": 5']


def test_half_of_a_surrogate_pair_becomes_a_question_mark(tmp_path: Path) -> None:
    export = read(tmp_path, telegram_chat([telegram_message("A\ud83d", "cut \ud83d"), telegram_message("Bo", "😀")]))
    assert said(export) == [[("A?", "cut ?"), ("Bo", "😀")]]


@pytest.mark.parametrize(
    ("whole", "complaint"),
    [
        ("{", "is not whole JSON: it cannot be read from line 1, column 2 on"),
        ('{"messages": [\n  {"secret text": 1,\n', "cannot be read from line 3, column 1 on"),
        ("[" * 100_000, "nested too deeply"),
        ({"guild": {}}, "is not a Telegram export: it has neither 'messages' nor a list of 'chats'"),
        ({"chats": {"list": "secret text"}}, "is not a Telegram export"),
        ([telegram_chat([])], "is not a Telegram export"),
        ({"chats": {"list": [{"messages": []}, {"name": "secret text"}]}}, "chat 2 has no list of messages"),
        ({"messages": ["secret text"]}, "chat 1: entry 1 of its messages is not a message"),
        ({"messages": [telegram_message("Ann", "secret text", date_unixtime="soon")]}, "message 1 has no date"),
        ({"messages": [telegram_message("Ann", "secret text", date_unixtime="1e999")]}, "message 1 has no date"),
        ({"messages": [telegram_message("Ann", "secret text", date_unixtime=None, date=None)]}, "has no date"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_with_its_place(tmp_path: Path, whole: Any, complaint: str) -> None:
    with pytest.raises(ChatError, match=complaint) as refused:
        read(tmp_path, whole)
    assert "result.json" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", [7, None, {"text": "x"}, [7, None, {"type": "bold"}, {"text": 7}]])
def test_odd_texts_are_no_words(tmp_path: Path, text: Any) -> None:
    export = read(tmp_path, telegram_chat([telegram_message("Ann", text)]))
    assert (export.chats, export.dropped) == ([[]], {WORDLESS: 1})
