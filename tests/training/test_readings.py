"""Readings survive being written down, and only those of the same lines are compared."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from training.measures import Sums, bootstrap_ratio
from training.readings import Reading, ReadingError, ratio, ratio_of_files, read_reading

THEIRS = {f"e{number}": Sums(40.0 + number, 20, 60 + number) for number in range(9)}
OURS = {episode: replace(one, nats=0.9 * one.nats + (episode == "e3"), tokens=30) for episode, one in THEIRS.items()}


def reading(by_episode: dict[str, Sums], sha256: str = "a1") -> Reading:
    return Reading("toy", sha256, "validation", "everybody", by_episode)


def written(folder: Path, name: str, one: Reading) -> Path:
    file = folder / f"{name}.json"
    file.write_text(json.dumps(one.to_mapping()))
    return file


def test_two_files_say_what_the_readings_did(tmp_path: Path) -> None:
    ours, theirs = reading(OURS), reading(THEIRS)
    files = written(tmp_path, "ours", ours), written(tmp_path, "theirs", theirs)
    assert read_reading(files[0]) == ours
    found = ratio_of_files(*files)
    assert found == ratio(ours, theirs)
    assert found.value == pytest.approx(ours.total.nats / theirs.total.nats), "bytes are those of the text"
    assert (found.low, found.high) == bootstrap_ratio(OURS, THEIRS)
    assert 0.89 < found.low < found.value < found.high < 1


@pytest.mark.parametrize(
    "other",
    [
        reading(OURS, sha256="a2"),
        reading({key: one for key, one in OURS.items() if key != "e1"}),
        reading(OURS | {"e1": replace(OURS["e1"], size=5)}),
    ],
)
def test_other_lines_are_never_compared(other: Reading) -> None:
    with pytest.raises(ReadingError, match="the two models were not asked the same lines"):
        ratio(other, reading(THEIRS))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"corpus": "a", "by_episode": []}', "\0"])
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "old.json"
    file.write_text(text)
    with pytest.raises(ReadingError, match="holds no measures by episode"):
        read_reading(file)
    with pytest.raises(ReadingError, match="cannot read"):
        ratio_of_files(tmp_path / "none.json", file)
