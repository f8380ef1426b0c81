"""Sweeps that are stopped, killed, shared by processes, gone on with, or not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.toys import toy_gpt2, toy_scenes
from tests.training.conftest import write_corpus
from tests.training.sweep import scripted_learner
from tests.training.sweep.scripted_learner import ScriptedLearner
from training.options import LORA_RATE, Options
from training.sweep.search import Search
from training.sweep.standings import Standings
from training.sweep.study import MOST_DEATHS, Study, StudyError
from training.sweep.trials import SweepError, sweep
from training.train import train

Make = Callable[..., Path]
ROOT = Path(__file__).parents[3]


def quiet(_: Any) -> None:
    return


@pytest.fixture
def search(make_corpus: Make, gpt2: Path, tmp_path: Path) -> Search:
    return Search((str(make_corpus()),), tmp_path / "sweep", tmp_path / "cache", trials=4, base=str(gpt2))


def states(standings: Standings) -> list[str]:
    return [one.state for one in sorted(standings.outcomes, key=lambda one: one.number)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_sweep_goes_on_with_the_trial_it_was_at(search: Search, number: signal.Signals) -> None:
    def interrupt(trial: int, step: int) -> None:
        if (trial, step) == (1, 2):
            os.kill(os.getpid(), number)

    said: list[str] = []
    before = signal.getsignal(number)
    learner = ScriptedLearner(at_step=interrupt)
    standings = sweep(search, said.append, learner)
    assert said[-1] == "Stopped with 1 of 4 trials done; the same command goes on."
    assert states(standings) == ["complete", "stopped", "waiting"]
    assert (learner.steps, signal.getsignal(number)) == ([4, 2], before)

    rest = ScriptedLearner()
    standings = sweep(search, quiet, rest)
    assert states(standings) == ["complete", "stopped", "complete", "complete", "complete"]
    assert rest.trained[0].learning_rate == learner.trained[1].learning_rate
    assert sweep(search, quiet, rest).done == 4
    assert len(rest.trained) == 3


def test_a_training_that_was_interrupted_ends_the_sweep(search: Search) -> None:
    class Interrupted(ScriptedLearner):
        def __call__(self, options: Any, tell: Any, show: Any, stop: Any) -> Path:
            if stop():
                return options.out
            scripted_learner.write_run(options.out)
            show(scripted_learner.validation(1, 1.2))
            (options.out / "metrics.jsonl").write_text('{"kind": "end", "step": 1, "reason": "interrupted"}\n')
            return options.out

    assert states(sweep(search, quiet, Interrupted())) == ["stopped", "waiting"]


def test_a_sweep_in_two_starts_tries_what_one_in_one_tries(search: Search) -> None:
    whole, first, second = ScriptedLearner(), ScriptedLearner(), ScriptedLearner()
    sweep(replace(search, trials=8), quiet, whole)
    parted = replace(search, out=search.out.with_name("parted"))
    sweep(replace(parted, trials=3), quiet, first)
    sweep(replace(parted, trials=8), quiet, second)
    rates = [one.learning_rate for one in whole.trained]
    assert [one.learning_rate for one in first.trained + second.trained] == rates
    assert len(set(rates)) == 8


def as_program(search: Search, seconds: float, together: int = 1) -> subprocess.Popen[str]:
    """Start a process that takes part in the sweep; see scripted_learner.py."""
    words = [sys.executable, "-m", "tests.training.sweep.scripted_learner", json.dumps(asdict(search), default=str)]
    words += [str(seconds), str(together)]
    return subprocess.Popen(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_two_processes_share_a_sweep_and_do_not_run_a_trial_too_many(search: Search) -> None:
    search = replace(search, trials=7)
    processes = [as_program(search, 0.1, together=2) for _ in range(2)]
    printed = [(*one.communicate(timeout=120), one.returncode) for one in processes]
    assert [code for _, _, code in printed] == [0, 0], printed
    one, other = (json.loads(out) for out, _, _ in printed)
    assert one["here"] + other["here"] == 7
    assert min(one["here"], other["here"]) >= 2
    assert one["trials"] == other["trials"]
    assert [trial["number"] for trial in sorted(one["trials"], key=lambda each: each["number"])] == list(range(7))
    assert len({trial["recipe"]["learning_rate"] for trial in one["trials"]}) == 7


def test_the_trial_of_a_killed_process_is_tried_again_by_whoever_waits(search: Search) -> None:
    other = as_program(search, 60)
    assert other.stderr
    with other:
        assert other.stderr.readline() == "Warming up: one step that no trial counts.\n"
        assert other.stderr.readline().startswith("Trial 0 (0 of 4 done): learning rate 0.001, rank 16")

        def kill(sentence: str) -> None:
            if sentence == "Waiting for the last trials of other processes.":
                assert (search.out / "trials" / "0000" / "report.html").exists()
                other.kill()

        learner = ScriptedLearner()
        standings = sweep(replace(search, trials=2), kill, learner)
    assert states(standings) == ["stopped", "complete", "complete"]
    assert learner.trained[1].learning_rate == LORA_RATE
    assert not (search.out / "trials" / "0000").exists()


def test_a_recipe_that_kills_its_process_is_given_up(tmp_path: Path) -> None:
    with closing(Study(tmp_path / "sweep", {"rank": (4, 8)}, {"rank": 4}, {"seed": 0})) as study:
        for _ in range(MOST_DEATHS):
            claim = study.claim(1)
            assert claim
            assert claim.recipe == {"rank": 4}
            claim.lock.close()
        last = study.claim(1)
        assert last
        assert "repeats" not in last.trial.user_attrs
        assert [one.state for one in study.outcomes()] == ["stopped"] * 2 + ["failed", "running"]
        assert study.claim(1) is None
        study.complete(last, 1.0, {})


def changed_base(search: Search) -> Search:
    return replace(search, base=str(toy_gpt2(search.out.with_name("other-base"))))


def two_corpora(search: Search) -> Search:
    return replace(search, corpora=(*search.corpora, str(write_corpus(search.out.with_name("other"), toy_scenes()))))


def changed_corpus(search: Search) -> Search:
    file = Path(search.corpora[0]) / "utterances.jsonl"
    file.write_text(file.read_text().replace("soup", "stew"))
    return search


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (changed_base, "was started with base = "),
        (changed_corpus, "was started with corpora = "),
        (two_corpora, "was started with corpora = "),
        (lambda search: replace(search, persona="joey"), "was started with persona = all, not joey; go on with"),
        (lambda search: replace(search, minutes=3.0), "was started with minutes per trial = 5.0, not 3.0"),
        (lambda search: replace(search, seed=1), "was started with seed = 0, not 1; go on with the same, or give"),
    ],
)
def test_a_sweep_is_not_gone_on_with_as_another(
    search: Search, change: Callable[[Search], Search], complaint: str
) -> None:
    sweep(replace(search, trials=1), quiet, ScriptedLearner())
    with pytest.raises(SweepError, match=complaint):
        sweep(change(search), quiet, ScriptedLearner())


def test_another_search_space_is_refused(tmp_path: Path) -> None:
    with closing(Study(tmp_path / "sweep", {"rank": (4,)}, {"rank": 4}, {"search space": "rank"})):
        pass
    with pytest.raises(StudyError, match="was started with search space = rank, not rate"):
        Study(tmp_path / "sweep", {"rate": (4,)}, {"rate": 4}, {"search space": "rate"})


def test_a_folder_that_cannot_be_used_is_said(search: Search) -> None:
    search.out.mkdir()
    (search.out / "letters.txt").write_text("mine")
    with pytest.raises(SweepError, match="holds something else than a sweep"):
        sweep(search, quiet, ScriptedLearner())
    (search.out / "study.db").write_text("no database" * 1000)
    with pytest.raises(SweepError, match="cannot be opened as a sweep's study"):
        sweep(search, quiet, ScriptedLearner())
    with pytest.raises(SweepError, match="cannot write into"):
        sweep(replace(search, out=search.out / "letters.txt" / "sweep"), quiet, ScriptedLearner())
    assert (search.out / "letters.txt").read_text() == "mine"


def test_a_signal_during_a_real_training_ends_the_sweep(search: Search) -> None:
    def train_and_interrupt(options: Options, tell: Any, show: Any, stop: Any) -> Path:
        def interrupt(record: dict[str, Any]) -> None:
            show(record)
            if record["kind"] == "train" and not stop():
                os.kill(os.getpid(), signal.SIGTERM)

        return train(options, tell, interrupt, stop)

    standings = sweep(replace(search, persona="joey", trials=2, minutes=0.5), quiet, train_and_interrupt)
    assert states(standings) == ["stopped", "waiting"]
