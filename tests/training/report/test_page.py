"""The report is one sane page, whatever the run's files hold, and says what they say."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.training.report.runs import Page, good, overfit, reply, start, steps, validation, write_run
from training.report.page import write_report

HOSTILE = '<script>alert("1")</script> & {{ 7 * 7 }} $x$'


def page(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def test_the_page_says_what_came_out(tmp_path: Path) -> None:
    text = page(write_run(tmp_path / "run", good(), name="all")).text
    assert "Joey Tribbiani and five others, taught from friends-corpus" in text
    assert "needs 20.0 % fewer bits than the untouched base: 1.200 a byte instead of 1.500" in text
    assert "−20.0 %" in text
    assert "tokens read 18,000" in text
    assert "It stopped at step 20, after 88 minutes, because its minutes were spent" in text
    assert "Leak check of friends-corpus: 2 of 400 held-out replies of six words and more (0.5 %)" in text
    assert "2 episodes for validation; 7 episodes for test; all of season=s10 (9 scenes)" in text
    assert "there is no sign of learning by heart" in text


def test_the_page_needs_neither_network_nor_scripts(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", good())
    source = write_report(folder).read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/)[^\s\"']+", source) == []
    tags = Page(source).tags
    assert {tag for tag, _ in tags} & {"script", "img", "iframe", "object"} == set()
    assert [attrs["href"] for tag, attrs in tags if tag == "link"] == ["data:,"]
    assert "@import" not in source
    assert len(source) < 300_000


def test_every_picture_is_told_in_words_and_stands_beside_as_png(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", good())
    tags = page(folder).tags
    alts = [attrs["aria-label"] for tag, attrs in tags if attrs.get("role") == "img"]
    assert len(alts) == sum(tag == "svg" for tag, _ in tags) == 4
    assert alts[0] == (
        "Held-out bits per byte goes from 1.500 to 1.200; on the training sample goes from 1.490 to 1.100; the gap "
        "between them goes from 0.010 to 0.100."
    )
    for name in ("learning_curve", "persona", "learning_rate"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    assert sorted(one.suffix for one in folder.iterdir() if one.name.startswith(".")) == []


def test_it_can_be_made_again_from_the_files(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", good())
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_overfitting_is_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", overfit())
    text = page(folder).text
    assert "After step 10 it began to learn by heart: held-out lines went from 1.300 back up to 1.400" in text
    assert "while the training sample went down to 0.400. What is kept is the checkpoint of step 10." in text
    assert "here that is the red part" in text
    assert "because of early stopping" in text
    assert "60 minutes of its time are left" in text
    assert "best, step 10" in text
    assert "last, step 20" in text
    red = r"fill: var\(--chart-alarm[^;]*; fill-opacity"
    assert re.search(red, (folder / "report.html").read_text())
    assert not re.search(red, write_report(write_run(tmp_path / "other", good())).read_text())


def test_only_the_kept_checkpoints_replies_stand_there_all_of_them(tmp_path: Path) -> None:
    records = good()
    records[-1:-1] = [reply(20, text=f"Reply {number}.") for number in range(13)] + [
        reply(20, text=""),
        reply(20, text="\ud83d"),
    ]
    text = page(write_run(tmp_path / "run", records)).text
    assert "All 16 sample replies of the checkpoint that is kept (step 20)" in text
    assert all(f"Reply {number}." in text for number in range(13))
    assert "(said nothing)" in text
    assert "Untouched." not in text
    assert "Old." not in text


def test_what_others_wrote_is_only_text(tmp_path: Path) -> None:
    records = good()
    records[0] = start(command=["echochamber", "train", "--corpus", HOSTILE])
    records[-1:-1] = [{"kind": "reply", "step": 20, "character": HOSTILE, "message": HOSTILE, "reply": HOSTILE}]
    for one in records:
        if one["kind"] == "validation":
            one["corpora"] = {HOSTILE: 1.0, "friends-corpus": 1.0}
    read = page(write_run(tmp_path / "run", records, name=HOSTILE, corpora=(HOSTILE, "friends-corpus")))
    assert "script" not in {tag for tag, _ in read.tags}
    assert read.text.startswith(f"{HOSTILE}, taught from {HOSTILE} and friends-corpus")
    assert read.text.count(HOSTILE) >= 8
    assert "49" not in read.text.split()


def test_several_corpora_show_what_is_forgotten(tmp_path: Path) -> None:
    records = good()
    for one in records:
        if one["kind"] == "validation":
            one["corpora"] = {"friends-corpus": one["bits_per_byte"], "casual-corpus": 1.0 + one["step"] / 100}
    folder = write_run(tmp_path / "run", records, corpora=("friends-corpus", "casual-corpus"))
    alts = [attrs["aria-label"] for _, attrs in page(folder).tags if "aria-label" in attrs]
    assert "friends-corpus: −20.0 % at the end; casual-corpus: +20.0 % at the end." in alts
    assert (folder / "corpora.png").is_file()


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([], "Nothing has been measured yet"),
        ([start()], "No end is on record"),
        ([start(), validation(0, 1.5, None, best=True)], "No checkpoint was better than the untouched base yet."),
        ([start(), validation(0, float("nan"), None)], "Nothing has been measured yet"),
        ([start(), *steps(3)], "2,700"),
        (
            [start(), validation(0, 1.5, None, best=True), *steps(1),
             {"kind": "end", "step": 1, "reason": "NaN", "left": None, "minutes": 1}],
            "the loss was no longer a number",
        ),
    ],
)  # fmt: skip
def test_a_run_that_hardly_began_has_a_page(tmp_path: Path, records: list[dict[str, Any]], sentence: str) -> None:
    text = page(write_run(tmp_path / "run", records)).text
    assert sentence in text
    assert "nan" not in text.casefold().split()
    assert "None" not in text.split()


def test_a_bare_folder_and_a_line_cut_by_a_kill_do_no_harm(tmp_path: Path) -> None:
    assert "taught from a corpus" in page(tmp_path).text
    folder = write_run(tmp_path / "run", good())
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    assert "−20.0 %" in page(folder).text


def test_the_commands_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", good())
    (folder / "decisions.jsonl").write_text('{"step": 20, "what": "stop", "reason": "minutes"}\n')
    text = page(folder).text
    assert "echochamber train --corpus 'my corpus:0.6' --max-minutes 90 --out 'runs/a b'" in text
    assert "--max-minutes 90 --out 'runs/a b-again' --replay 'runs/a b'" in text
    assert "echochamber train --corpus 'my corpus:0.6' --out 'runs/a b' --resume --max-minutes 30" in text
    assert "/home/ann" not in text


@pytest.mark.parametrize(
    ("reason", "bound", "wanted"),
    [
        ("steps", ["--max-steps", "20"], "--resume --max-steps 40"),
        ("interrupted", ["--max-minutes=90"], "--out r --resume"),
        ("early stopping", [], "--resume --max-minutes 30"),
    ],
)
def test_how_to_go_on_depends_on_why_it_stopped(tmp_path: Path, reason: str, bound: list[str], wanted: str) -> None:
    records = good()
    records[0] = start(command=["echochamber", "train", *bound, "--out", "r"])
    records[-1]["reason"] = reason
    source = write_report(write_run(tmp_path / "run", records)).read_text()
    commands = re.findall(r"<pre><code>([^<]*)", source)
    assert commands[-1].endswith(wanted)


def test_a_long_run_is_thinned(tmp_path: Path) -> None:
    records = good()
    records[3:3] = steps(20_000)
    folder = write_run(tmp_path / "run", records)
    assert write_report(folder).stat().st_size < 300_000
