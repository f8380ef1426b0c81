"""Every eight words in a row of a line are known again, in a small file without any text."""

import random
import time
from pathlib import Path

import pytest

from persona.copied import FILE_NAME, CopiedLines, CopiedLinesError

LINE = "One two, three four FIVE six seven eight nine!"


def invented(count: int, seed: int) -> list[str]:
    """Return lines of 24 words drawn from 3,000, so that no two of them share eight in a row."""
    draw = random.Random(seed)
    return [" ".join(f"w{draw.randrange(3000)}" for _ in range(24)) for _ in range(count)]


@pytest.fixture(scope="module")
def large() -> CopiedLines:
    return CopiedLines.of(invented(3000, 1))


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        (LINE, True),
        ("Well: one TWO three four five six seven EIGHT.", True),
        ("two three four five six seven eight nine ten", True),
        ("ｔｗｏ three four five six seven ’eight’ nine", True),
        ("one two three four five six seven", False),
        ("one two three four oops five six seven eight nine", False),
        ("nine eight seven six five four three two one", False),
        ("", False),
    ],
)
def test_eight_words_in_a_row_are_a_copy(text: str, copies: bool) -> None:
    assert CopiedLines.of([LINE]).copies(text) is copies


def test_a_run_does_not_cross_two_lines() -> None:
    assert not CopiedLines.of(["one two three four", "five six seven eight"]).copies(LINE)
    assert len(CopiedLines.of(["one two three four", "five six seven eight"])) == 0


def test_a_run_counts_once_in_any_order() -> None:
    lines = [LINE, "eight words make one run and no more", LINE.lower()]
    assert len(CopiedLines.of(lines)) == 3
    assert CopiedLines.of(lines).to_bytes() == CopiedLines.of(lines[::-1]).to_bytes()


def test_every_line_is_known_and_hardly_anything_else(large: CopiedLines) -> None:
    """17 runs a line: of 68,000 strange ones some 3 are taken for copies, and 15 are out of the question."""
    assert all(large.copies(line) for line in invented(3000, 1))
    assert sum(large.copies(line) for line in invented(4000, 2)) < 15


def test_the_file_gives_the_same_set_again_in_20_bits_a_run(large: CopiedLines, tmp_path: Path) -> None:
    large.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    again = CopiedLines.read(tmp_path)
    assert again is not None
    assert again.to_bytes() == large.to_bytes() == (tmp_path / FILE_NAME).read_bytes()
    assert again.copies(invented(3000, 1)[-1])
    assert 8 * (tmp_path / FILE_NAME).stat().st_size / len(large) < 20.1


def test_the_file_holds_no_text_and_is_no_accident(tmp_path: Path) -> None:
    CopiedLines.of([LINE]).write(tmp_path)
    content = (tmp_path / FILE_NAME).read_bytes()
    assert not any(word.encode() in content.lower() for word in ("one", "three", "seven", "nine"))
    assert content[:25].hex() == "4543484f434f50590100080002000000000000000284c929d4", "other keys need another VERSION"


def test_an_empty_set_copies_nothing(tmp_path: Path) -> None:
    CopiedLines.of([]).write(tmp_path)
    again = CopiedLines.read(tmp_path)
    assert again is not None
    assert len(again) == 0
    assert not again.copies(LINE)


def test_a_checkpoint_without_the_file_has_none(tmp_path: Path) -> None:
    assert CopiedLines.read(tmp_path) is None


@pytest.mark.parametrize("change", ["cut", "flipped", "foreign", "empty", "longer"])
def test_a_damaged_file_is_refused_in_a_sentence(large: CopiedLines, tmp_path: Path, change: str) -> None:
    content = large.to_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "flipped": content[:-30] + bytes([content[-30] ^ 1]) + content[-29:],
        "foreign": b"PK\x03\x04" + content[4:],
        "empty": b"",
        "longer": content + b"\0",
    }
    (tmp_path / FILE_NAME).write_bytes(damaged[change])
    with pytest.raises(CopiedLinesError, match=r"copied\.hashes is damaged: copy the checkpoint again"):
        CopiedLines.read(tmp_path)


def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(CopiedLinesError, match=r"copied\.hashes cannot be read: Is a directory"):
        CopiedLines.read(tmp_path)


def test_another_version_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persona.copied.VERSION", 2)
    CopiedLines.of([LINE]).write(tmp_path)
    monkeypatch.undo()
    with pytest.raises(CopiedLinesError, match="has version 2 with 8 words a run, this program reads 1 with 8"):
        CopiedLines.read(tmp_path)


def test_reading_and_asking_take_no_time(tmp_path: Path) -> None:
    """A show's half million runs are read in some 10 ms; this bound only notices what is done a run at a time."""
    CopiedLines.of(invented(30_000, 3)).write(tmp_path)
    began = time.process_time()
    copied = CopiedLines.read(tmp_path)
    assert copied is not None
    assert time.process_time() - began < 0.1
    assert len(copied) > 500_000


def test_a_union_holds_what_each_holds_and_hardly_anything_else() -> None:
    lines = [" ".join(f"w{number * 9 + at}" for at in range(9)) for number in range(3000)]
    sets = [CopiedLines.of(lines[:1500]), CopiedLines.of(lines[500:2000]), CopiedLines.of(())]
    union = CopiedLines.union(sets)
    assert union is not None
    assert all(union.copies(line) for line in lines[:2000])
    assert sum(union.copies(line) for line in lines[2000:]) <= 5
    assert len(union) == pytest.approx(4000, abs=5)
    again = CopiedLines.from_bytes(union.to_bytes())
    assert all(again.copies(line) for line in lines[:2000])


def test_a_union_with_a_set_too_small_for_it_is_none() -> None:
    lines = [" ".join(f"w{number * 9 + at}" for at in range(9)) for number in range(3000)]
    assert CopiedLines.union([CopiedLines.of(lines), CopiedLines.of(lines[:1])]) is None
