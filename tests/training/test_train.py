"""Real tiny runs: interrupted and resumed, inside their minutes, refused in a sentence."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from bot.engine.checkpoints import ADAPTER, load_checkpoint
from persona.card import read_card
from persona.dialogue import Turn
from tests.toys import toy_gpt2, toy_scenes
from training.evaluate import EvaluationError, Question, evaluate
from training.split import split_by_episode
from training.train import Options, TrainingError, train

Make = Callable[..., Path]


def quiet(_: Any) -> None:
    return


@pytest.fixture
def options(make_corpus: Make, gpt2: Path, tmp_path: Path) -> Options:
    return Options(
        corpus=str(make_corpus()), base=str(gpt2), persona="joey", minutes=1.0, out=tmp_path / "run",
        cache=tmp_path / "cache", started=time.monotonic(), tokens=200, max_steps=6, rank=2,
    )  # fmt: skip


def test_a_run_leaves_a_checkpoint_that_can_talk(options: Options) -> None:
    folder = train(options, quiet, quiet)
    card = read_card(folder)
    assert [one.id for one in card.characters] == ["joey"]
    assert card.format == "eos-joined"
    assert card.training["steps"] <= 6
    assert card.split["validation"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["fan_in_fan_out"] is True
    assert config["base_model_name_or_path"] == card.base.name
    loaded = load_checkpoint(options.out, cache=options.cache, device="cpu")
    assert loaded.personas == card.characters
    assert loaded.screenplay.prompt([Turn("Ann", "Hello.")], "Joey Tribbiani", 60)
    kinds = [one["kind"] for one in records_of(options)]
    assert kinds[0] == "start"
    assert {"train", "validation"} <= set(kinds)
    assert all(one["tokens_per_second"] > 0 for one in records_of(options) if one["kind"] == "train")
    assert (options.out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not list(options.out.rglob("training_args.bin"))


def test_the_recorded_base_is_never_followed(options: Options) -> None:
    folder = train(options, quiet, quiet)
    file = folder / "adapter_config.json"
    file.write_text(file.read_text().replace(read_card(folder).base.name, "/nowhere/at/all"))
    assert load_checkpoint(folder, cache=options.cache, device="cpu").card is not None


def test_full_fine_tuning_stands_without_its_base(options: Options, tmp_path: Path) -> None:
    base = toy_gpt2(tmp_path / "mortal")
    folder = train(replace(options, base=str(base), full=True), quiet, quiet)
    shutil.rmtree(base)
    assert read_card(folder).kind == "full"
    assert load_checkpoint(folder, cache=options.cache, device="cpu").screenplay.format.name == "eos-joined"


def test_a_speaker_without_an_entry_can_be_taught(options: Options) -> None:
    folder = train(replace(options, persona="Ann"), quiet, quiet)
    assert [(one.id, one.name) for one in read_card(folder).characters] == [("ann", "Ann")]


def records_of(options: Options) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (options.out / "metrics.jsonl").read_text().splitlines()]


def trained(options: Options) -> dict[str, list[float]]:
    newest = sorted((options.out / "checkpoints").glob("step-*"))[-1]
    return {key: one.flatten().tolist() for key, one in load_file(newest / "trainable.safetensors").items()}


def test_stopped_and_resumed_is_the_same_as_never_stopped(options: Options, tmp_path: Path) -> None:
    # Bounded by steps alone: the schedule follows the clock where minutes are given.
    steps = replace(options, minutes=10_000.0, max_steps=8, out=tmp_path / "whole")
    train(steps, quiet, quiet)
    halves = replace(steps, out=tmp_path / "halves")
    command = [sys.executable, "-c", _STOPPED_AT_STEP_3, json.dumps(_plain(halves))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL, done.stderr
    said: list[str] = []
    train(replace(halves, resume=True), said.append, quiet)
    assert any("Going on from step-00000003" in line for line in said)
    assert trained(halves) == trained(steps)
    assert [one["step"] for one in records_of(halves) if one["kind"] == "train"] == list(range(1, 9))


_STOPPED_AT_STEP_3 = """
import json, os, signal, sys
from pathlib import Path
import training.conductor
from training.train import Options, train
training.conductor.SAVE_SECONDS = 0.0
fields = json.loads(sys.argv[1])
options = Options(**fields | {"out": Path(fields["out"]), "cache": Path(fields["cache"])})
def die(record):
    if record["kind"] == "train" and record["step"] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
train(options, print, die)
"""


def _plain(options: Options) -> dict[str, Any]:
    fields = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    return fields | {"out": str(options.out), "cache": str(options.cache)}


def test_killed_before_the_first_checkpoint_it_starts_again_and_says_so(options: Options) -> None:
    def die(record: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(options, quiet, die)
    said: list[str] = []
    train(replace(options, resume=True), said.append, quiet)
    assert any("before its first checkpoint: starting again" in line for line in said)


def test_a_resumed_run_knows_the_best_that_is_on_the_disk(options: Options) -> None:
    def die(record: dict[str, Any]) -> None:
        if record["kind"] == "validation" and record["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(replace(options, minutes=10_000.0, max_steps=8, learning_rate=1e-2), quiet, die)
    newest = sorted((options.out / "checkpoints").glob("step-*"))[-1]
    known = json.loads((newest / "progress.json").read_text())["best_step"]
    assert known == read_card(options.out / "model").training["steps"] > 0


def test_a_half_written_checkpoint_is_passed_over(options: Options) -> None:
    train(options, quiet, quiet)
    broken = options.out / "checkpoints" / "step-00000099"
    broken.mkdir()
    (broken / "optimizer.pt").write_bytes(b"half")
    said: list[str] = []
    train(replace(options, max_steps=7, resume=True), said.append, quiet)
    assert any("Going on from step-00000006" in line for line in said)


def test_a_signal_saves_and_says_how_to_go_on(options: Options) -> None:
    def interrupt(record: dict[str, Any]) -> None:
        if record["kind"] == "train" and record["step"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    said: list[str] = []
    train(replace(options, max_steps=1000), said.append, interrupt)
    assert any("--resume goes on" in line for line in said)
    assert (options.out / "checkpoints" / "step-00000003").is_dir()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"corpus": "/nowhere/at-all"}, "no corpus folder"),
        ({"persona": "chandler"}, "nobody called Chandler Bing speaks in the corpus toy-corpus"),
        ({"persona": "nobody"}, "nobody here is called 'nobody'"),
        ({"persona": "none.toml"}, "cannot read the persona file"),
        ({"base": "no such base"}, "there is no base 'no such base'"),
        ({"device": "gpu"}, "the device 'gpu' cannot be used"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(options: Options, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TrainingError, match=complaint):
        train(replace(options, **change), quiet, quiet)


def test_a_run_is_neither_overwritten_nor_gone_on_with_as_another(options: Options) -> None:
    train(options, quiet, quiet)
    with pytest.raises(TrainingError, match="already holds a run: add --resume"):
        train(options, quiet, quiet)
    with pytest.raises(TrainingError, match="was started with seed = 0, not 1"):
        train(replace(options, seed=1, resume=True), quiet, quiet)
    (options.out / "run.json").unlink()
    with pytest.raises(TrainingError, match="holds something else"):
        train(replace(options, resume=True), quiet, quiet)


def test_spent_minutes_are_said(options: Options) -> None:
    train(replace(options, minutes=0.1, max_steps=None), quiet, quiet)
    with pytest.raises(TrainingError, match="--max-minutes adds more"):
        train(replace(options, minutes=None, max_steps=None, resume=True, started=time.monotonic() - 60), quiet, quiet)


def test_steps_that_are_done_leave_the_minutes(options: Options) -> None:
    train(replace(options, minutes=None, max_steps=2), quiet, quiet)
    assert records_of(options)[-1]["left"] > 100
    train(replace(options, minutes=None, max_steps=3, resume=True), quiet, quiet)
    assert (options.out / "checkpoints" / "step-00000003").is_dir()


def test_a_character_who_only_speaks_where_nothing_is_learned_is_refused(options: Options, make_corpus: Make) -> None:
    scenes = toy_scenes()
    held_out = {scene.episode for scene in split_by_episode(scenes).validation}
    renamed = toy_scenes(speakers=("Ben", "Ann"))
    others = tuple(one if one.episode in held_out else new for one, new in zip(scenes, renamed, strict=True))
    corpus = make_corpus(others, "elsewhere")
    with pytest.raises(TrainingError, match="say nothing in the training episodes"):
        train(replace(options, corpus=str(corpus)), quiet, quiet)
    assert not options.out.exists()


def test_a_template_names_its_speaker_as_the_format_does(options: Options, make_corpus: Make) -> None:
    corpus = make_corpus(toy_scenes(speakers=("Ann: <|im_end|>", "Ben")), "odd")
    folder = train(replace(options, corpus=str(corpus), persona="Ann: <|im_end|>"), quiet, quiet)
    assert "'Ann < |im_end| >'" in (folder / "chat_template.jinja").read_text()


def test_minutes_bound_a_run_without_steps(options: Options) -> None:
    said: list[str] = []
    started = time.monotonic()
    train(replace(options, minutes=0.2, max_steps=None, started=started), said.append, quiet)
    assert re.search(r"Best held-out bits per byte \d", said[-1])
    assert records_of(options)[-1] == {"kind": "end", "step": records_of(options)[-1]["step"], "left": 0}


def test_evaluate_measures_a_checkpoint_beside_its_base(options: Options) -> None:
    folder = train(replace(options, max_steps=40, learning_rate=1e-2), quiet, quiet)
    answer = evaluate(Question(folder, options.corpus, options.cache))
    assert answer.ratio == pytest.approx(answer.bits_per_byte / answer.base_bits_per_byte)
    assert answer.ratio < 1
    assert answer.ratio_low == pytest.approx(answer.ratio) == answer.ratio_high  # one episode only
    assert answer.replies > 0
    with pytest.raises(EvaluationError, match="there is no split 'dev' to measure"):
        evaluate(Question(folder, options.corpus, options.cache, "dev"))
    (folder / ADAPTER).write_bytes(b"not weights")
    with pytest.raises(EvaluationError, match="cannot be loaded"):
        evaluate(Question(folder, options.corpus, options.cache))
