"""What was read once: the same scenes without ConvoKit, and never anything damaged or outdated."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from persona.dialogue import Scene, Turn
from tests.toys import toy_scenes
from training.conversations import CLEANING
from training.corpus import Corpus, load_corpus
from training.scenecache import Parsed, read_parsed, write_parsed

Make = Callable[..., Path]
LOAD = """
import sys
from pathlib import Path
from training.corpus import load_corpus
print(len(load_corpus(sys.argv[1], Path(sys.argv[2])).scenes), "convokit" in sys.modules)
"""


def kept(cache: Path) -> Path:
    (file,) = (cache / "scenes").iterdir()
    return file


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_second_start_reads_the_same_without_convokit(make_corpus: Make, cache: Path) -> None:
    folder = make_corpus()
    first = load_corpus(str(folder), cache)
    command = [sys.executable, "-c", LOAD, str(folder), str(cache)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert said.stdout.split() == ["12", "False"]
    assert load_corpus(str(folder), cache) == first


def test_another_folder_of_the_same_files_keeps_its_own_name(make_corpus: Make, cache: Path) -> None:
    first = load_corpus(str(make_corpus()), cache)
    second = load_corpus(str(make_corpus(name="copy")), cache)
    assert (first.name, second.name) == ("toy-corpus", "copy")
    assert first.scenes == second.scenes
    assert kept(cache).name.startswith(first.sha256)


def test_a_changed_corpus_is_read_again(make_corpus: Make, cache: Path) -> None:
    before = load_corpus(str(make_corpus()), cache)
    after = load_corpus(str(make_corpus(toy_scenes(13))), cache)
    assert (len(before.scenes), len(after.scenes)) == (12, 13)
    assert before.sha256 != after.sha256


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-40],
    "one letter": lambda content: content.replace(b"soup", b"soap", 1),
    "another shape": lambda content: hashlib.sha256(b"[]").hexdigest().encode() + b"\n[]",
    "not text": lambda content: bytes(range(256)) * 20,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_again(make_corpus: Make, cache: Path, damage: str) -> None:
    folder = make_corpus()
    first = load_corpus(str(folder), cache)
    whole = kept(cache).read_bytes()
    kept(cache).write_bytes(DAMAGES[damage](whole))
    assert kept(cache).read_bytes() != whole
    assert load_corpus(str(folder), cache) == first
    assert kept(cache).read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(make_corpus: Make, cache: Path) -> None:
    cache.mkdir()
    (cache / "scenes").write_text("in the way")
    assert len(load_corpus(str(make_corpus()), cache).scenes) == 12


def test_whatever_was_said_comes_back(tmp_path: Path) -> None:
    turns = (Turn("Ann\u2028", "a\nb\x00 \ud83d 🙂 <|im_end|>"), Turn("", ""))
    parsed = Parsed((Scene(turns, "x", "e"), Scene((), "y", "e")), False, {"e": ""})
    write_parsed(tmp_path / "one", parsed)
    assert read_parsed(tmp_path / "one") == parsed
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


def test_other_scenes_from_the_same_files_need_another_number(make_corpus: Make, cache: Path) -> None:
    """Where this fails, raise `CLEANING` and write what is new here: caches hold the old scenes."""
    turns = (
        Turn("TRANSCRIPT_NOTE", "[a kitchen]"), Turn("Ann", "Hi (waves [twice])."), Turn("Ann", "So?"),
        Turn("#ALL#", "No {loudly} no\nno!"), Turn("unknown", "..."), Turn("Ben", "(nods)"), Turn("Ann", "[deleted]"),
    )  # fmt: skip
    show = load_corpus(str(make_corpus((Scene(turns, "s01_e01_c01", "s01_e01"),))), cache)
    folder = make_corpus((Scene(turns, "c1", "x"),), "talk")
    (folder / "conversations.json").write_text("{}")
    talk = load_corpus(str(folder), cache)
    assert (CLEANING, said(show), said(talk)) == (
        1,
        ["Ann: Hi . So?", "Everybody: No no no!", "Somebody: ..."],
        ["Ann: Hi (waves [twice]). So?", "Everybody: No {loudly} no no!", "Somebody: ...", "Ben: (nods)"],
    )


def said(corpus: Corpus) -> list[str]:
    return [f"{turn.name}: {turn.text}" for scene in corpus.scenes for turn in scene.turns]
