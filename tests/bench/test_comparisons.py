"""What the comparisons plan, count and claim; the runs themselves take their minutes and are not made here."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from bench.comparison import UNTOUCHED, Contrast, as_json, compare, held_out, in_percent, markdown, read_all
from bench.forgetting.__main__ import FIRST, MIXTURE, SECOND, THIRD, mixture_weights
from bench.forgetting.__main__ import planned as forgetting
from bench.overfit.__main__ import rows, table, verdict
from bench.runs import Planned, describe, spent
from bench.small_corpora.__main__ import FULL, LORA
from bench.small_corpora.__main__ import planned as small_corpora
from tests.toys import toy_gpt2, toy_llama, toy_scenes
from tests.training.conftest import write_corpus
from training.measures import Sums
from training.readings import Ratio, Reading
from training.report.runlog import RunLog, read_run
from training.schedule import DECAY_SHARE

GIVEN = argparse.Namespace(
    corpora=Path("corpora"), minutes=21.0, out=Path("out"), base="embedded", learning_rate=1e-4, threads=1,
    share=0.1, rank=16, lora_rate=1e-3, full_rate=1e-4,
)  # fmt: skip


def write_run(folder: Path, *records: dict[str, Any]) -> Planned:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    return Planned(folder, 7.0, ("--full",))


def test_the_mixture_learns_a_third_of_its_steps_from_each_corpus() -> None:
    show, other = mixture_weights()
    assert show + 2 * other == pytest.approx(1)
    assert (1 - DECAY_SHARE) * show + DECAY_SHARE == pytest.approx((1 - DECAY_SHARE) * other)
    words = forgetting(GIVEN)[MIXTURE].options
    assert [word for word in words if ":" in word] == [
        f"corpora/friends-corpus:{show:.4f}",
        *(f"corpora/{name}-corpus:{other:.4f}" for name in ("casual", "technical")),
    ]


def test_each_stage_of_the_sequence_begins_with_the_one_before() -> None:
    runs = forgetting(GIVEN)
    bases = [run.options[run.options.index("--base") + 1] for run in runs.values()]
    assert list(runs) == [FIRST, SECOND, THIRD, MIXTURE]
    assert bases == ["embedded", str(runs[FIRST].model), str(runs[SECOND].model), "embedded"]
    assert sum(runs[name].minutes for name in (FIRST, SECOND, THIRD)) == runs[MIXTURE].minutes == 21
    assert [("everybody" in run.options) for run in runs.values()] == [True, True, False, False]


def test_the_two_ways_to_learn_from_little_differ_in_nothing_else() -> None:
    runs = small_corpora(GIVEN)
    lora, full = ([word for word in runs[name].options if word not in ("0.001", "0.0001")] for name in (LORA, FULL))
    assert runs[LORA].minutes == runs[FULL].minutes
    assert [word for word in lora if word not in ("--rank", "16")] == [word for word in full if word != "--full"]


def test_a_run_is_started_once_and_gone_on_with_until_its_end(tmp_path: Path) -> None:
    fresh = Planned(tmp_path / "fresh", 7.0, ("--full",))
    assert not fresh.is_done()
    assert fresh.command() == ["train", "--full", "--out", str(fresh.folder), "--max-minutes", "7"]
    start = {"kind": "start", "step": 0, "minutes": 0.0}
    killed_at_once, killed = write_run(tmp_path / "a"), write_run(tmp_path / "b", start)
    assert killed_at_once.command()[-3:] == ["--resume", "--max-minutes", "7"], "it had no minutes to go on with yet"
    assert killed.command()[-1] == "--resume"
    ended = {"kind": "end", "step": 3, "minutes": 7.0}
    assert not write_run(tmp_path / "c", start, ended | {"reason": "interrupted"}).is_done()
    assert write_run(tmp_path / "d", start, ended | {"reason": "minutes"}).is_done()
    assert not write_run(tmp_path / "e", start, ended | {"reason": "minutes"}, start).is_done()


def test_tokens_are_counted_by_corpus(tmp_path: Path) -> None:
    steps = [("show", 100), ("chat", 160), ("show", 300)]
    trained = [{"kind": "train", "step": at, "corpus": name, "tokens": sum_} for at, (name, sum_) in enumerate(steps)]
    best = {"kind": "validation", "step": 2, "bits_per_byte": 1.0, "best": True}
    end = {"kind": "end", "step": 3, "reason": "minutes", "minutes": 7.04}
    cost = spent(read_run(write_run(tmp_path / "run", *trained, best, end).folder))
    assert cost["tokens"] == {"show": 240, "chat": 60}
    assert (
        describe("ours", cost)
        == "ours: 7.0 minutes, 3 steps, tokens read: 240 of show, 60 of chat; step 2 was the best."
    )


def test_what_is_read_is_kept_and_claims_are_marked_where_the_interval_excludes_zero(tmp_path: Path) -> None:
    base = toy_llama(tmp_path / "base")
    lines = []
    for name, speakers in (("friends-corpus", ("Joey Tribbiani", "Ann")), ("casual-corpus", ("A", "B"))):
        folder = write_corpus(tmp_path / name, toy_scenes(40, speakers))
        lines.append(held_out(folder, tmp_path / "cache", is_show=name == "friends-corpus"))
    assert [one.who for one in lines] == ["Joey Tribbiani", "everybody"]
    where, kept = (str(base), tmp_path / "cache"), tmp_path / "readings"
    first = read_all({UNTOUCHED: None}, lines, kept, where)
    files = sorted(kept.iterdir())
    assert len(files) == 2
    assert first["casual-corpus"][UNTOUCHED].total.size > first["friends-corpus"][UNTOUCHED].total.size
    file = next(one for one in files if one.name.startswith("casual"))
    file.write_text(file.read_text().replace('"everybody"', '"A and B"'))
    again = read_all({UNTOUCHED: None}, lines, kept, where)
    assert again["casual-corpus"][UNTOUCHED].measured == "A and B", "it was read from the disk"
    read_all({UNTOUCHED: None}, lines, kept, (str(toy_gpt2(tmp_path / "other")), tmp_path / "cache"))
    assert len(list(kept.iterdir())) == 4, "other weights are read anew"


def reading(nats: float, spread: float) -> Reading:
    sums = {f"e{at}": Sums(nats + spread * (-1) ** at, 10, 50) for at in range(8)}
    return Reading("show", "a1", "validation", "everybody", sums)


def test_the_table_says_how_far_each_differs() -> None:
    readings = {"show": {"base": reading(50, 0), "better": reading(40, 1), "same": reading(50, 5)}}
    wanted = [Contrast("better", "base"), Contrast("same", "base")]
    lines = markdown(readings, wanted).splitlines()
    assert lines[0] == "| bits per byte, held out | show (everybody) |"
    assert lines[4] == "| same | 1.4427 |"
    assert lines[5].startswith("| better / base | **-20.0 % (-2")
    assert lines[6].startswith("| same / base | +0.0 % (-")
    found = as_json(readings, wanted)["show"]
    assert found["episodes"] == 8
    assert found["ratios"][0]["value"] == pytest.approx(0.8)
    assert in_percent(Ratio(1.01, 1.001, 1.02)) == "**+1.0 % (+0.1 to +2.0)**"


def test_nothing_is_compared_before_every_run_is_done(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is not done: nothing can be compared yet"):
        compare("x", "", {"one": write_run(tmp_path / "run")}, [], GIVEN)


def validation(step: int, held: float, train: float, *, best: bool = False) -> dict[str, Any]:
    return {
        "kind": "validation", "step": step, "bits_per_byte": held, "train_bits_per_byte": train, "score": held,
        "best": best, "minutes": step / 10,
    }  # fmt: skip


def test_where_the_curves_part_is_said() -> None:
    trained = [{"kind": "train", "step": step, "epoch": step / 10} for step in range(1, 41)]
    records = [
        validation(0, 1.5, 1.5, best=True), validation(10, 1.3, 1.2, best=True), validation(20, 1.4, 0.9),
        validation(40, 1.6, 0.4),
    ]  # fmt: skip
    end = {"kind": "end", "step": 40, "reason": "early stopping"}
    log = RunLog(Path(), [*trained, *records, end])
    found = rows(log)
    assert [row["passes"] for row in found] == [0.0, 1.0, 2.0, 4.0]
    assert table(found, 10).splitlines()[3] == "| 10 | 1.0 | 1.0 | 1.3000 | 1.2000 | 0.1000 | 1.3000 | ships |"
    told = verdict(found, spent(RunLog(Path(), [*records, end])))
    assert told.startswith(
        "They part after step 10 (1.0 passes, minute 1.0): from there to step 40, held-out lines went "
    )
    assert "from 1.3000 to 1.6000 bits per byte, those learned from went from 1.2000 to 0.4000." in told
    assert told.endswith("It stopped at step 40 (early stopping); step 10 ships.\n")
    assert "have not parted" in verdict(found[:2], {"steps": 10, "ended": "minutes", "shipped_step": 10})
