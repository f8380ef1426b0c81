"""Sweeps whose learner is scripted, and one that really trains: what is tried, cut short, failed and recommended."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from echochamber.cli import app
from tests.toys import toy_scenes
from tests.training.sweep import scripted_learner
from tests.training.sweep.scripted_learner import ScriptedLearner
from training.options import LORA_RATE, Options
from training.sweep.search import SHOW_SHARE, Search
from training.sweep.standings import Standings
from training.sweep.study import Range
from training.sweep.trials import KEPT_FILES, SweepError, sweep
from training.train import TrainingError

Make = Callable[..., Path]


def quiet(_: Any) -> None:
    return


@pytest.fixture
def search(make_corpus: Make, gpt2: Path, tmp_path: Path) -> Search:
    return Search((str(make_corpus()),), tmp_path / "sweep", tmp_path / "cache", trials=4, base=str(gpt2))


def states(standings: Standings) -> list[str]:
    return [one.state for one in sorted(standings.outcomes, key=lambda one: one.number)]


def test_the_first_trial_is_what_train_does_by_itself_and_the_best_one_wins(search: Search) -> None:
    learner = ScriptedLearner()
    standings = sweep(replace(search, trials=3), quiet, learner)
    first = learner.trained[0]
    assert (first.rank, first.learning_rate, first.prompt_weight, first.masked_share) == (16, LORA_RATE, 0.0, 0.25)
    assert {one.minutes for one in learner.trained} == {5.0}
    assert states(standings) == ["complete"] * 3
    scores = [one.score for one in standings.outcomes]
    assert scores == sorted(scores)
    assert standings.best is standings.outcomes[0]
    assert standings.best.facts == {
        "bits_per_byte": standings.best.score + 0.1, "persona_gain": 0.1, "repetition": 0.0,
        "tokens": 4000, "step": 4, "minutes": 4.0,
    }  # fmt: skip


def test_what_is_tried_lies_in_the_space(search: Search) -> None:
    assert len(search.first()) == len(search.space())
    standings = sweep(replace(search, trials=12), quiet, ScriptedLearner())
    tried = [search.first(), *(one.recipe for one in standings.outcomes)]
    for name, values in search.space().items():
        seen = {one[name] for one in tried}
        if isinstance(values, Range):
            assert all(values.low <= value <= values.high for value in seen)
            assert len(seen) > 6
        else:
            assert seen <= set(values)
            assert len(seen) > 1


def test_a_trial_leaves_its_metrics_only(search: Search) -> None:
    sweep(replace(search, trials=1), quiet, ScriptedLearner())
    assert {path.name for path in (search.out / "trials").rglob("*")} == {"0000", *KEPT_FILES}


def test_a_bad_curve_is_cut_short(search: Search) -> None:
    learner = ScriptedLearner([(1.3, 1.2, 1.1, 1.0)] * 3 + [(1.6, 1.6, 1.6, 1.6)])
    standings = sweep(search, quiet, learner)
    assert states(standings) == ["complete"] * 3 + ["pruned"]
    assert learner.steps == [4, 4, 4, 2]
    assert standings.outcomes[-1].facts["tokens"] == 1000
    assert standings.done == 4


def test_a_curve_that_is_bad_at_its_very_end_only_came_to_its_end(search: Search) -> None:
    learner = ScriptedLearner([(1.3, 1.2, 1.1, 1.0)] * 3 + [(1.3, 1.2, 1.1, 1.1)])
    assert states(sweep(search, quiet, learner)) == ["complete"] * 4


def test_a_trial_that_fails_is_recorded_and_another_takes_its_place(search: Search) -> None:
    said: list[str] = []
    learner = ScriptedLearner([(1.3, 1.2), "the loss became NaN", (1.3, float("nan")), (), (1.2, 1.1)])
    standings = sweep(replace(search, trials=3), said.append, learner)
    assert states(standings) == ["complete", "failed", "complete", "failed", "complete"]
    assert "Trial 1 failed: the loss became NaN." in said
    assert "Trial 3 failed: no validation fitted into its minutes." in said
    assert "Trial 1 failed: the loss became NaN." in (search.out / "sweep.md").read_text()


def test_a_loss_that_became_nan_is_a_failure(search: Search) -> None:
    def diverge(options: Options, tell: Any, show: Any, stop: Any) -> Path:
        if not stop():
            scripted_learner.write_run(options.out)
            show(scripted_learner.validation(1, 1.2))
            (options.out / "metrics.jsonl").write_text('{"kind": "end", "step": 7, "reason": "NaN"}\n')
            raise TrainingError("all the checkpoints are kept")
        return options.out

    with pytest.raises(SweepError, match="the last one because its loss became NaN"):
        sweep(search, quiet, diverge)


def test_three_failures_in_a_row_end_the_sweep(search: Search) -> None:
    learner = ScriptedLearner(["no", "no", (1.2, 1.1), "no", "no", "the disk is full"])
    with pytest.raises(SweepError, match="3 trials failed one after the other, the last one because the disk is full"):
        sweep(search, quiet, learner)
    assert len(learner.trained) == 6


def test_corpora_are_mixed_by_the_shows_share(search: Search, make_corpus: Make) -> None:
    others = [f"{make_corpus(name=name)}:{weight}" for name, weight in (("casual", 0.3), ("technical", 0.1))]
    search = replace(search, corpora=(f"{search.corpora[0]}:0.6", *others), trials=6)
    learner = ScriptedLearner()
    standings = sweep(search, quiet, learner)
    weights = [[float(corpus.rpartition(":")[2]) for corpus in one.corpora] for one in learner.trained]
    assert weights[0] == [0.6, 0.3, 0.1]
    for show, casual, technical in weights:
        assert show + casual + technical == pytest.approx(1, abs=2e-3)
        assert casual == pytest.approx(3 * technical, abs=5e-3)
        assert 0.3 <= show <= 0.95
    assert len({show for show, _, _ in weights}) == 6
    assert "show's share" in standings.header()


def test_corpora_without_weights_begin_with_equal_shares(search: Search) -> None:
    search = replace(search, corpora=(*search.corpora, "casual-corpus"))
    assert search.first()[SHOW_SHARE] == 0.5


def test_the_winners_command_is_one_that_train_understands(search: Search, make_corpus: Make) -> None:
    corpora = (f"{make_corpus(name='the show')}:1", f"{search.corpora[0]}:1")
    search = replace(search, corpora=corpora, out=search.out.with_name("it's here"), trials=6)
    standings = sweep(search, quiet, ScriptedLearner())
    command = standings.command()
    assert command
    split = subprocess.run(["sh", "-c", f'printf "%s\\n" {command}'], capture_output=True, text=True, check=True)
    words = split.stdout.splitlines()
    assert words[:2] == ["echochamber", "train"]
    best = standings.best
    assert best
    parsed = typer.main.get_command(app("train")).commands["train"].make_context("train", words[2:]).params  # type: ignore[attr-defined]
    assert tuple(parsed.pop("corpus")) == search.mixed(best.recipe)
    options = search.options(best.recipe, search.out / "best")
    same = ("base", "persona", "out", "seed", "rank", "learning_rate", "prompt_weight", "masked_share", "device")
    assert {name: parsed[name] for name in same} == {name: getattr(options, name) for name in same}
    assert command in (search.out / "sweep.md").read_text()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"corpora": ("/nowhere/at-all",)}, "there is no corpus folder"),
        ({"corpora": ("friends-corpus:0.5", "casual-corpus")}, "give every corpus a weight"),
        ({"base": "nonsense"}, "there is no base 'nonsense'"),
        ({"persona": "chandler"}, "nobody called Chandler Bing speaks in the corpus"),
        ({"minutes": float("nan")}, "--max-minutes must be a number above 0"),
    ],
)
def test_what_no_trial_could_train_is_refused_before_the_first(
    search: Search, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SweepError, match=complaint):
        sweep(replace(search, **change), quiet, ScriptedLearner())
    assert not search.out.exists()


def test_real_trainings(search: Search, make_corpus: Make) -> None:
    other = make_corpus(toy_scenes(speakers=("Ben", "Ann")), "other")
    search = replace(search, corpora=(f"{search.corpora[0]}:0.7", f"{other}:0.3"), persona="joey", trials=2)
    standings = sweep(replace(search, minutes=0.15), quiet)
    assert standings.done == 2
    assert standings.best
    assert standings.best.facts["tokens"] > 0
    for number in range(2):
        assert {path.name for path in (search.out / "trials" / f"{number:04d}").iterdir()} == set(KEPT_FILES)


def test_what_a_training_refuses_is_said_before_any_trial(search: Search, make_corpus: Make) -> None:
    search = replace(search, corpora=(str(make_corpus(toy_scenes(1), "short")),), persona="joey")
    with pytest.raises(SweepError, match="a corpus needs at least 3 episodes"):
        sweep(search, quiet)
    assert not list((search.out / "trials").iterdir())
