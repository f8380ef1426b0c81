"""From an export to a corpus folder that ConvoKit and training read, with nothing lost but what is said."""

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from persona.dialogue import Turn
from tests.training.imports.exports import (
    Line,
    chatter,
    discord_message,
    telegram_chat,
    telegram_message,
    unix,
    write_discord,
    write_telegram,
    write_whatsapp,
)
from training.cast import choose_personas
from training.corpus import load_corpus
from training.imports.chat import WITHOUT, ChatError
from training.imports.importer import Imported, Request, import_chat
from training.split import split_by_episode


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "utterances.jsonl").read_text("utf-8").split("\n") if line]


def texts(folder: Path) -> list[object]:
    return [row["text"] for row in rows(folder)]


def everything(folder: Path) -> str:
    return "".join(path.name + path.read_text("utf-8") for path in sorted(folder.iterdir()))


def test_convokit_and_training_read_what_was_written(tmp_path: Path) -> None:
    export = write_telegram(tmp_path / "result.json", chatter(conversations=12, turns=5))
    imported = import_chat(Request(export, tmp_path / "mine"))
    assert (imported.conversations, imported.talks) == (12, 12)
    assert imported.speakers == {"Ann Smith": 36, "Bo": 24}

    corpus = load_corpus(str(tmp_path / "mine"), tmp_path / "cache")
    assert (corpus.name, corpus.unit, len(corpus.scenes)) == ("mine", "conversation", 12)
    assert corpus.scenes[11].turns[3] == Turn("Bo", "line 3 of talk 11")
    assert [one.name for one in choose_personas("Ann Smith", corpus)] == ["Ann Smith"]
    assert split_by_episode(corpus.scenes).validation

    import convokit

    theirs = convokit.Corpus(filename=str(tmp_path / "mine"))
    conversation = theirs.get_conversation("chat01_c00002_u0001")
    assert conversation.check_integrity(verbose=False)
    said = conversation.get_chronological_utterance_list()
    assert [one.text for one in said] == [f"line {turn} of talk 1" for turn in range(5)]
    assert [one.timestamp for one in said] == [unix(f"2024-01-15T10:{turn:02d}:00") for turn in range(5)]
    assert theirs.meta == {"name": "mine"}


WORDS = (
    "soup",
    "is",
    "(maybe)",
    "[no]",
    ":)",
    "<3",
    "a: b",
    "*",
    "“so”",
    "😀",
    "e\u0301",
    "{x}",
    "null",
    "\u00a0",
    "100 %",
    "\\n",
    '"',
)


def drawn(seed: int) -> Iterator[Line]:
    """Draw odd messages, some of several lines, none of them what a messenger would write itself."""
    draw = random.Random(seed)
    for number in range(60):
        lines = [
            " ".join([f"m{number}", *draw.choices(WORDS, k=draw.randint(0, 6))]) for _ in range(draw.randint(1, 3))
        ]
        text = "\n".join(line.strip() for line in lines)
        yield (
            draw.choice(("Ann Smith", "Bo", "Cy (old)", "D-E")),
            text,
            f"2024-01-{number // 3 + 1:02d}T{number % 3 + 9:02d}:00:00",
        )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("messenger", ["telegram", "discord", "whatsapp"])
def test_no_text_is_lost_or_changed(messenger: str, seed: int, tmp_path: Path) -> None:
    lines = list(drawn(seed))
    if messenger == "discord":
        export = write_discord(tmp_path / "talk.json", [discord_message(*line) for line in reversed(lines)])
    else:
        write = write_telegram if messenger == "telegram" else write_whatsapp
        export = write(tmp_path / "export", lines)
    imported = import_chat(Request(export, tmp_path / "mine", silence=4))
    assert [(row["speaker"], row["text"]) for row in rows(tmp_path / "mine")] == [(who, what) for who, what, _ in lines]
    assert imported.speakers == Counter(who for who, _, _ in lines)
    assert imported.dropped == (
        {"without words: attachments, stickers, deleted messages": 1} if messenger == "whatsapp" else {}
    )
    assert imported.conversations == 20


def test_what_was_read_is_kept_or_counted(tmp_path: Path) -> None:
    messages = [telegram_message(*line) for line in chatter(turns=9, people=("Ann", "Bo", "Cy", "Di"))]
    for number, message in enumerate(messages):
        message.update(
            [{}, {"type": "service"}, {}, {"text": ""}, {"forwarded_from": "Cy"}, {"via_bot": "@x"}, {}][number % 7]
        )
    (tmp_path / "result.json").write_text(json.dumps(telegram_chat(messages)))
    imported = import_chat(Request(tmp_path / "result.json", tmp_path / "mine", without=("bo",)))
    assert imported.dropped[WITHOUT] > 0
    assert sum(imported.speakers.values()) + sum(imported.dropped.values()) == len(messages)


def test_pseudonyms_stand_everywhere_and_the_key_stands_nowhere(tmp_path: Path) -> None:
    lines = [
        (who, f"{what}, Ann! Call @Bo at +49 170 1234567, or smith@soup.example", when) for who, what, when in chatter()
    ]
    export = write_discord(tmp_path / "Ann and Bo.json", [discord_message(*line) for line in lines])
    imported = import_chat(Request(export, tmp_path / "mine", pseudonyms=True))
    assert imported.key == {"Ann Smith": "Avery", "Bo": "Blake"}
    assert imported.speakers == {"Avery": 8, "Blake": 8}
    assert texts(tmp_path / "mine")[0] == "line 0 of talk 0, Avery! Call @Blake at 555-0100, or someone@example.com"
    written = everything(tmp_path / "mine") + json.dumps(imported.to_mapping())
    assert not [name for name in ("Ann", "ann", "Smith", "smith", "Bo", "1234567") if name in written]


def test_a_longer_export_gives_what_was_there_the_same_ids_and_pseudonyms(tmp_path: Path) -> None:
    lines = chatter(conversations=6, people=("Ann Smith", "Bo", "Cy"))
    for folder, part in (("short", lines[:12]), ("long", lines)):
        export = write_discord(tmp_path / "talk.json", [discord_message(*line) for line in reversed(part)])
        import_chat(Request(export, tmp_path / folder, pseudonyms=True))
    assert rows(tmp_path / "long")[:12] == rows(tmp_path / "short")


def test_chats_are_numbered_by_when_they_began(tmp_path: Path) -> None:
    lines = chatter(conversations=6)
    later, earlier = ([telegram_message(*line) for line in part] for part in (lines[12:], lines[:12]))
    whole = {"chats": {"list": [telegram_chat(later), telegram_chat([]), telegram_chat(earlier)]}}
    (tmp_path / "result.json").write_text(json.dumps(whole))
    import_chat(Request(tmp_path / "result.json", tmp_path / "mine"))
    told = {row["id"]: row["text"] for row in rows(tmp_path / "mine")}
    assert told["chat01_c00001_u0001"] == "line 0 of talk 0"
    assert told["chat02_c00001_u0001"] == "line 0 of talk 3"


def test_someone_left_out_is_in_nothing(tmp_path: Path) -> None:
    lines = [(who, f"{what} for Cy", when) for who, what, when in chatter(people=("Ann Smith", "Bo", "Cy"), turns=6)]
    export = write_telegram(tmp_path / "result.json", lines)
    imported = import_chat(Request(export, tmp_path / "mine", pseudonyms=True, without=("cy",)))
    assert imported.dropped == {WITHOUT: 8}
    assert imported.key == {"Ann Smith": "Avery", "Bo": "Blake"}
    assert "Cy" not in everything(tmp_path / "mine")
    with pytest.raises(ChatError, match="nobody called 'Di' writes here; these do: Ann Smith, Bo, Cy"):
        import_chat(Request(export, tmp_path / "theirs", without=("Di",)))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_too_few_conversations_are_explained_and_nothing_is_written(number: int, tmp_path: Path) -> None:
    alone = [("Ann", "anybody?", f"2024-02-{day:02d}T10:00:00") for day in (1, 2, 3)]
    export = write_telegram(tmp_path / "result.json", [*chatter(conversations=number), *alone])
    counted = (
        f"holds {number} conversation{'' if number == 1 else 's'} between two people or more, and training needs 3"
    )
    with pytest.raises(ChatError, match=counted):
        import_chat(Request(export, tmp_path / "mine"))
    assert list(tmp_path.iterdir()) == [export]


def test_shorter_silences_make_more_of_the_same_talk(tmp_path: Path) -> None:
    lines = [
        (who, what, when.replace("2024-01-14T10", f"2024-01-14T1{hour}"))
        for hour in range(4)
        for who, what, when in chatter(1)
    ]
    export = write_telegram(tmp_path / "result.json", lines)
    with pytest.raises(ChatError, match="shorter than 8 hours parts it into more"):
        import_chat(Request(export, tmp_path / "mine"))
    assert import_chat(Request(export, tmp_path / "mine", silence=0.5)).conversations == 4


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_whatsapp(tmp_path / "_chat.txt", chatter())


@pytest.mark.parametrize("there", ["a folder", "a file"])
def test_what_is_there_is_never_overwritten(there: str, tmp_path: Path, export: Path) -> None:
    (tmp_path / "mine").mkdir() if there == "a folder" else (tmp_path / "mine").write_text("mine")
    with pytest.raises(ChatError, match="mine is there already: name another folder in --out, or remove it"):
        import_chat(Request(export, tmp_path / "mine"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_chat.txt", "mine"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, export: Path) -> None:
    with pytest.raises(ChatError, match=r"cannot write .*: Not a directory"):
        import_chat(Request(export, export / "inside" / "mine"))


def test_a_disk_that_takes_no_more_leaves_nothing_behind(tmp_path: Path, export: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(ChatError, match=r"cannot write .*mine: File too large"):
            import_chat(Request(export, tmp_path / "mine"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == [export]


def test_only_its_owner_can_read_a_private_chat(tmp_path: Path, export: Path) -> None:
    imported: Imported = import_chat(Request(export, tmp_path / "deep" / "er" / "mine"))
    assert imported.folder.stat().st_mode & 0o077 == 0
