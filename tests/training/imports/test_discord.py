"""DiscordChatExporter's JSON: types, bots, mentions, parts of a channel and channels of a server."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.imports.exports import discord_message, said, unix, write_discord
from training.imports.chat import BOTS, FORWARDED, SERVICE, TWICE, WORDLESS, ChatError
from training.imports.discord import read_discord
from training.imports.sources import read_export

BOT = {"id": "9", "name": "helper", "nickname": "Helper", "isBot": True}


def test_messages_and_replies_are_kept_and_the_rest_is_counted(tmp_path: Path) -> None:
    messages = [
        discord_message("Ann", "Hello", "2024-01-01T10:00:00"),
        discord_message("Bo", "Hi!", "2024-01-01T10:01:00", type="Reply"),
        discord_message("Bo", "Pinned a message.", type="ChannelPinnedMessage"),
        discord_message("Bo", "Started a call that lasted 3 minutes.", type="Call"),
        discord_message("Helper", "I am here to help", author=BOT),
        discord_message("Ann", "", attachments=[{"fileName": "soup.png"}]),
        discord_message("Ann", " \n"),
        discord_message("Ann", "", id="f", forwardedMessage={"content": "Somebody else's words"}),
        discord_message("Ann", "Look at this", "2024-01-01T10:02:00", attachments=[{"fileName": "soup.png"}]),
    ]
    export = read_discord([write_discord(tmp_path / "talk.json", messages)])
    assert said(export) == [[("Ann", "Hello"), ("Bo", "Hi!"), ("Ann", "Look at this")]]
    assert export.dropped == {SERVICE: 2, BOTS: 1, WORDLESS: 2, FORWARDED: 1}
    assert export.chats[0][1].time == pytest.approx(unix("2024-01-01T10:01:00") + 0.123, abs=1e-5)


def test_people_are_shown_as_others_see_them(tmp_path: Path) -> None:
    without_nickname = {"id": "5", "name": "cy", "isBot": False}
    messages = [
        discord_message("Ann", "Hello"),
        discord_message("Cy", "Hi", "2024-01-01T11:00:00", author=without_nickname),
    ]
    export = read_discord([write_discord(tmp_path / "talk.json", messages)])
    assert export.names == {"id-Ann": ["ann", "Ann"], "5": ["cy"]}


def test_markup_is_written_out(tmp_path: Path) -> None:
    text = "<@5> <@!5> <@6> <@&7> <#8> <:soup:9> <a:spoon:10> @Ann a<b 3 <3 <5>"
    mentions = [{"id": "5", "name": "cy", "nickname": "Cy Young"}, {"id": "6"}, "odd"]
    export = read_discord([write_discord(tmp_path / "talk.json", [discord_message("Ann", text, mentions=mentions)])])
    assert export.chats[0][0].text == "@Cy Young @Cy Young @somebody @role #channel :soup: :spoon: @Ann a<b 3 <3 <5>"


def test_a_folder_holds_channels_and_parts_of_them_in_any_order(tmp_path: Path) -> None:
    first, second, third = (discord_message("Ann", text, f"2024-01-01T10:0{text}:00") for text in "123")
    write_discord(tmp_path / "talk [part 1].json", [third, second])
    write_discord(tmp_path / "talk [part 2].json", [second, first])
    write_discord(tmp_path / "other.json", [discord_message("Bo", "elsewhere")], channel="11")
    export = read_export(tmp_path)
    assert sorted(said(export)) == [[("Ann", "1"), ("Ann", "2"), ("Ann", "3")], [("Bo", "elsewhere")]]
    assert export.dropped == {TWICE: 1}


@pytest.mark.parametrize(
    ("whole", "complaint"),
    [
        ({"messages": []}, "is not an export of DiscordChatExporter: it has no 'channel'"),
        ({"channel": {"id": 1}, "messages": "secret text"}, "is not an export"),
        (["secret text"], "is not an export"),
        ({"channel": {"id": 1}, "messages": [{"content": "secret text"}]}, "message 1 has no author"),
        ({"channel": {}, "messages": [discord_message("A", "secret text", timestamp="late")]}, "message 1 has no date"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_with_its_place(tmp_path: Path, whole: Any, complaint: str) -> None:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps(whole))
    with pytest.raises(ChatError, match=complaint) as refused:
        read_discord([path])
    assert "talk.json" in str(refused.value)
    assert "secret" not in str(refused.value)
