"""Whole evaluations of a tiny run: kept, gone on with, and beside each other."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from echochamber.cli import app
from tests.toys import toy_llama, toy_scenes
from tests.training.conftest import write_corpus
from training.evaluation.evaluate import UNTOUCHED, EvaluationError, Question, evaluate
from training.evaluation.plan import Size
from training.train import Options, train

SMALL = Size(4, 5, 0)
MEASURES = [
    "bits per byte", "speaker identification", "hits@1 of 20", "sounds like them", "does it answer", "is it alive",
    "is it its own", "is it safe to run", "talking to a stranger",
]  # fmt: skip


def quiet(*_: Any) -> None:
    return


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a show of two of the friends, and a run that learned from it."""
    at = tmp_path_factory.mktemp("house")
    write_corpus(at / "show", toy_scenes(40, ("Joey Tribbiani", "Chandler Bing")))
    options = Options(
        corpora=(str(at / "show"),), base=str(toy_llama(at / "base")), persona="all", minutes=None, out=at / "run",
        cache=at / "cache", started=time.monotonic(), tokens=200, max_steps=2, rank=2, rehearse=False,
    )  # fmt: skip
    train(options, quiet, quiet)
    return at


@pytest.fixture
def question(house: Path, tmp_path: Path) -> Question:
    shutil.copytree(house / "cache", tmp_path / "cache")
    return Question(house / "run", str(house / "show"), tmp_path / "cache", size=SMALL, device="cpu")


def test_every_measure_is_there_with_the_base_beside_it(question: Question) -> None:
    steps: list[tuple[int, int]] = []
    answer = evaluate(question, quiet, lambda done, of: steps.append((done, of)))
    assert [one.name for one in answer.result.measures] == MEASURES
    assert answer.result.name == str(question.model)
    assert answer.result.title.startswith("show: 4 lines scored, 5 replies to scenes and 0 to a stranger, ")
    assert steps == [(number, 13) for number in range(1, 14)], "and the base's lines"
    bits, ratio = answer.result.measures[0].figures[0], answer.result.measures[0].figures[-1]
    assert ratio.key == "bits_ratio"
    assert answer.base is not None
    assert bits.value == pytest.approx((answer.base.measures[0].figures[0].value or 0) * (ratio.value or 0))
    assert answer.other is None
    told = answer.to_mapping()
    assert json.loads(json.dumps(told))["measures"].keys() == set(MEASURES)


def test_an_interrupted_evaluation_goes_on_and_a_finished_one_computes_nothing(question: Question) -> None:
    def killed(done: int, of: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    whole = evaluate(replace(question, cache=question.cache.parent / "other"), quiet)
    with pytest.raises(KeyboardInterrupt):
        evaluate(question, quiet, killed)
    [cut] = question.cache.glob("evaluations/*/*/pieces.jsonl")
    before = cut.read_text().splitlines()
    assert 6 <= len(before) < 9
    steps: list[int] = []
    answer = evaluate(question, quiet, lambda done, of: steps.append(done))
    assert steps[0] == len(before) + 1
    assert cut.read_text().splitlines()[: len(before)] == before
    assert answer.result.measures[:3] == whole.result.measures[:3]
    steps.clear()
    again = evaluate(question, quiet, lambda done, of: steps.append(done))
    assert steps == []
    assert again.result.measures == answer.result.measures


def test_the_base_and_the_run_before_stand_beside_it(question: Question, tmp_path: Path) -> None:
    bare = evaluate(replace(question, untouched=True), quiet)
    assert bare.result.name == UNTOUCHED
    assert bare.base is None
    first = evaluate(question, quiet)
    assert first.base == bare.result, "all of its measures, not its lines' alone"
    other = tmp_path / "other"
    shutil.copytree(question.model / "model", other)
    card = json.loads((other / "persona.json").read_text())
    ranking = {"likelihood": 1.0, "information": 0.0, "persona_gain": 0.0, "commonness": 0.0}
    (other / "persona.json").write_text(json.dumps(card | {"ranking": ranking}))
    second = evaluate(replace(question, model=other), quiet)
    assert second.other == first.result
    third = evaluate(replace(question, against=other), quiet)
    assert third.other == second.result
    steps: list[int] = []
    with pytest.raises(EvaluationError, match="was not measured on the same lines yet: evaluate it first"):
        evaluate(replace(question, against=other, split="all"), quiet, lambda done, of: steps.append(done))
    assert steps == [], "said before anything is computed"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"split": "dev"}, "there is no split 'dev' to measure"),
        ({"split": "left-out"}, "there is no line of the characters to be measured in the left-out side"),
        ({"model": Path("/nowhere")}, r"has no persona\.json"),
        ({"against": Path("/nowhere")}, r"has no persona\.json"),
        ({"corpus": "/nowhere/at-all"}, "there is no corpus folder"),
        ({"device": "cuda:77"}, "cannot be used here"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(
    question: Question, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(EvaluationError, match=complaint):
        evaluate(replace(question, **change), quiet)


def test_a_corpus_in_which_none_of_the_characters_speaks_is_refused(question: Question, tmp_path: Path) -> None:
    write_corpus(tmp_path / "chat", toy_scenes(12, ("speaker_0", "speaker_1")))
    with pytest.raises(EvaluationError, match="none of the checkpoint's characters speaks in chat"):
        evaluate(replace(question, corpus=str(tmp_path / "chat")), quiet)


def test_the_command_writes_a_table_a_file_and_the_run_s_report(
    question: Question, house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluation.plan.SAMPLE", Size(2, 2, 1))
    run, file = tmp_path / "run", tmp_path / "m.json"
    shutil.copytree(house / "run", run)
    words = ["evaluate", "--model", str(run), "--corpus", str(house / "show"), "--json", str(file)]
    environment = {"CACHE_DIR": str(question.cache), "COLUMNS": "200"}
    done = CliRunner().invoke(app("evaluate"), words, env=environment)
    assert done.exit_code == 0, done.stderr
    assert "untouched base" in done.stdout
    assert all(name in done.stdout for name in MEASURES)
    told = json.loads(file.read_text())
    assert len(told["strangers"]) == 60
    assert "Measured as it is served" in (run / "report.html").read_text()
    nowhere = CliRunner().invoke(app("evaluate"), [*words[:-1], str(tmp_path / "no" / "m.json")], env=environment)
    assert nowhere.exit_code == 2
    assert "Error: cannot write" in nowhere.stderr
