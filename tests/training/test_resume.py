"""Nothing is lost: killed at any moment, out of disk, out of minutes, a run goes on as if nothing had been.

Every test drives real runs. The killed ones are forked from a process that has imported everything
and computed nothing, so that each costs no start.
"""

import json
import os
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

from training.checkpoints import Checkpoints
from training.train import Options, TrainingError, train

ROOT = Path(__file__).parents[2]


def quiet(_: Any) -> None:
    return


@pytest.fixture
def options(make_corpus: Callable[..., Path], gpt2: Path, tmp_path: Path) -> Options:
    return Options(
        corpora=(str(make_corpus()),), base=str(gpt2), persona="joey", minutes=None, out=tmp_path / "run",
        cache=tmp_path / "cache", started=time.monotonic(), tokens=200, max_steps=8, rank=2, dropout=0.1,
    )  # fmt: skip


def records_of(options: Options) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (options.out / "metrics.jsonl").read_text().splitlines()]


def weights_of(options: Options) -> dict[str, list[float]]:
    newest = sorted((options.out / "checkpoints").glob("step-*"))[-1]
    return {key: one.flatten().tolist() for key, one in load_file(newest / "trainable.safetensors").items()}


def steps_of(options: Options) -> list[int]:
    return [one["step"] for one in records_of(options) if one["kind"] == "train"]


FORKS = """
import json, os, random, signal, sys
from dataclasses import replace
from pathlib import Path
from training.train import Options, TrainingError, train

fields = json.loads(sys.argv[1])
paths = {key: Path(fields[key]) for key in ("out", "cache")}
options = Options(**fields | paths | {"corpora": tuple(fields["corpora"])})

def in_a_fork(work):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        work()
    except TrainingError as error:
        print("refused:", error, flush=True)
    except BaseException as error:
        print("crashed:", repr(error), flush=True)
    os._exit(0)

def killed_at(options, moment):
    # A moment is a number of touches of the run's own files: each log line, each file of a
    # checkpoint, each rename.
    seen = [0]
    def hook(event, values):
        touches = event in ("open", "os.rename", "os.mkdir", "os.remove", "shutil.rmtree")
        if touches and str(options.out) in str(values[0]):
            seen[0] += 1
            if seen[0] == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    train(options, lambda line: print("said:", line, flush=True), lambda record: None)
    print("touches:", seen[0], flush=True)
"""


def forked(options: Options, program: str) -> str:
    fields = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    plain = fields | {"out": str(options.out), "cache": str(options.cache)}
    command = [sys.executable, "-c", FORKS + program, json.dumps(plain)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert "crashed:" not in done.stdout, done.stdout
    return done.stdout


def test_killed_at_five_random_moments_it_ends_with_the_same_bits(options: Options, tmp_path: Path) -> None:
    whole = replace(options, out=tmp_path / "whole", save_minutes=0.0, max_steps=12)
    said = forked(
        replace(whole, out=tmp_path / "killed"),
        f"""
whole = replace(options, out=Path({str(whole.out)!r}))
assert in_a_fork(lambda: killed_at(whole, -1)) == 0
draw, kills = random.Random(7), 0
while kills < 5:
    moment = draw.randrange(1, 90)
    resumed = replace(options, resume=options.out.exists() and any(options.out.iterdir()))
    status = in_a_fork(lambda: killed_at(resumed, moment))
    if not os.WIFSIGNALED(status):
        break
    kills += 1
    print("killed:", moment, flush=True)
assert kills == 5, kills
in_a_fork(lambda: train(replace(options, resume=True), print, lambda record: None))
""",
    )
    killed = replace(whole, out=tmp_path / "killed")
    assert said.count("killed:") == 5
    assert weights_of(killed) == weights_of(whole)
    assert steps_of(killed) == steps_of(whole) == list(range(1, 13))
    assert (killed.out / "decisions.jsonl").read_text() == (whole.out / "decisions.jsonl").read_text()
    for name in ("adapter_model.safetensors", "tokenizer.json"):
        assert (killed.out / "model" / name).read_bytes() == (whole.out / "model" / name).read_bytes()


def test_killed_before_the_first_checkpoint_it_starts_again_and_says_so(options: Options) -> None:
    def die(record: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(options, quiet, die)
    said: list[str] = []
    train(replace(options, resume=True), said.append, quiet)
    assert any("before its first checkpoint: starting again" in line for line in said)
    assert steps_of(options) == list(range(1, 9))


def test_a_run_of_minutes_is_repeated_bit_for_bit_from_its_decisions(options: Options, tmp_path: Path) -> None:
    clocked = replace(options, minutes=0.25, max_steps=None, started=time.monotonic())
    train(clocked, quiet, quiet)
    again = replace(options, out=tmp_path / "again", max_steps=None, replay=clocked.out, started=time.monotonic())
    train(again, quiet, quiet)
    assert steps_of(again) == steps_of(clocked)
    assert weights_of(again) == weights_of(clocked)
    assert (again.out / "decisions.jsonl").read_text() == (clocked.out / "decisions.jsonl").read_text()
    with pytest.raises(TrainingError, match="was started with seed = 0, not 1"):
        train(replace(again, out=tmp_path / "other", seed=1), quiet, quiet)
    log = clocked.out / "decisions.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if '"stop"' not in line))
    with pytest.raises(TrainingError, match="does not say where its run stopped"):
        train(replace(again, out=tmp_path / "other"), quiet, quiet)


def test_a_damaged_checkpoint_is_passed_over_and_said(options: Options) -> None:
    train(replace(options, save_minutes=0.0), quiet, quiet)
    before = weights_of(options)
    newest = sorted((options.out / "checkpoints").glob("step-*"))[-1]
    file = newest / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    said: list[str] = []
    train(replace(options, resume=True), said.append, quiet)
    damaged = f"The checkpoint {newest.name} is damaged (optimizer.pt has changed)"
    assert f"{damaged}: going on from the one before it." in said
    assert weights_of(options) == before


def test_the_same_command_goes_on_within_its_minutes_and_other_minutes_are_added(options: Options) -> None:
    first = replace(options, minutes=8.0, max_steps=None)

    def start(**change: Any) -> None:
        train(replace(first, started=time.monotonic(), **change), quiet, quiet, lambda: True)

    start()
    start(resume=True)
    start(resume=True, minutes=None)
    start(resume=True)
    start(resume=True, minutes=4.0)
    start(resume=True, minutes=4.0)
    starts = [one for one in records_of(options) if one["kind"] == "start"]
    assert [one["until"] for one in starts] == [8.0, 8.0, 8.0, 8.0, 12.0, 12.0]


def test_both_bounds_hold_for_the_same_command(options: Options) -> None:
    both = replace(options, minutes=8.0, max_steps=6)
    train(both, quiet, quiet, lambda: True)
    train(replace(both, resume=True), quiet, quiet, lambda: True)
    starts = [one for one in records_of(options) if one["kind"] == "start"]
    assert [(one["until"], one["max_steps"]) for one in starts] == [(8.0, 6), (8.0, 6)]


def test_a_start_that_adds_and_is_killed_before_it_saves_adds_when_begun_again(options: Options) -> None:
    train(options, quiet, quiet)
    added = replace(options, minutes=8.0, max_steps=None, resume=True)

    def die(record: dict[str, Any]) -> None:
        if record["kind"] == "train":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(replace(added, started=time.monotonic()), quiet, die)
    steps = iter(range(3))
    train(replace(added, started=time.monotonic()), quiet, quiet, lambda: next(steps, None) is None)
    rows = records_of(options)
    starts = [one for one in rows if one["kind"] == "start"]
    assert starts[1]["until"] == starts[2]["until"]
    assert [one["max_steps"] for one in starts] == [8, None, None]
    rates = {one["step"]: one["learning_rate"] for one in rows if one["kind"] == "train"}
    assert rates[8] == pytest.approx(1e-3 * 8 / 20)  # of the warm-up, not of the decay that was undone


def test_a_bound_in_steps_holds_for_every_start(options: Options) -> None:
    train(options, quiet, quiet, lambda: True)
    assert steps_of(options) == [1]
    train(replace(options, resume=True, max_steps=None), quiet, quiet)
    assert steps_of(options) == list(range(1, 9))
    with pytest.raises(TrainingError, match="the 8 steps of this run are done"):
        train(replace(options, resume=True, max_steps=None), quiet, quiet)


def test_minutes_are_added_from_the_last_stable_checkpoint(options: Options) -> None:
    first = replace(options, minutes=0.2, max_steps=None, started=time.monotonic())
    train(first, quiet, quiet)
    rows = records_of(first)
    decays = [one["step"] for one in rows if one.get("what") == "decay"]
    decay = decays[0] if decays else rows[-1]["step"]  # a machine busy with other things may jump over it
    spent = rows[-1]["minutes"]
    with pytest.raises(TrainingError, match="--max-minutes adds more"):
        train(replace(first, minutes=None, resume=True, started=time.monotonic() - 60), quiet, quiet)
    said: list[str] = []
    train(replace(first, minutes=0.3, resume=True, started=time.monotonic()), said.append, quiet)
    assert any(f"Going on from step-{decay:08d}" in line for line in said)
    rows = records_of(first)
    start = [one for one in rows if one["kind"] == "start"][-1]
    assert start["minutes"] == pytest.approx(spent, abs=0.02)
    assert start["until"] == pytest.approx(0.5)
    rates = {one["step"]: one["learning_rate"] for one in rows if one["kind"] == "train"}
    assert rates[decay + 1] == pytest.approx(1e-3)
    assert spent < rows[-1]["minutes"] <= 0.5


def test_steps_are_added_from_the_last_stable_checkpoint(options: Options, tmp_path: Path) -> None:
    train(options, quiet, quiet)
    with pytest.raises(TrainingError, match="the 8 steps of this run are done"):
        train(replace(options, resume=True), quiet, quiet)
    train(replace(options, resume=True, max_steps=14), quiet, quiet)
    whole = replace(options, out=tmp_path / "whole", max_steps=14)
    train(whole, quiet, quiet)
    assert weights_of(options) == weights_of(whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_how_to_go_on(options: Options, number: signal.Signals) -> None:
    def interrupt(record: dict[str, Any]) -> None:
        if record["kind"] == "train" and record["step"] == 2:
            os.kill(os.getpid(), number)

    said: list[str] = []
    train(replace(options, max_steps=1000), said.append, interrupt)
    assert any("--resume goes on" in line for line in said)
    assert (options.out / "checkpoints" / "step-00000003").is_dir()
    assert records_of(options)[-1]["reason"] == "interrupted"


def test_who_asks_can_stop_a_run(options: Options) -> None:
    seen: list[int] = []
    stop = [False]

    def watch(record: dict[str, Any]) -> None:
        if record["kind"] == "train":
            seen.append(record["step"])
            stop[0] = len(seen) == 3

    train(replace(options, max_steps=1000), quiet, watch, lambda: stop[0])
    assert seen[-1] == 4
    assert records_of(options)[-1]["reason"] == "stopped"


def test_a_full_disk_is_said_and_what_was_saved_stays_whole(options: Options) -> None:
    """A limit on the size of files refuses writes as a full disk does, with an error of the system."""
    said = forked(
        options,
        """
import resource
in_a_fork(lambda: train(replace(options, max_steps=4), print, lambda record: None))
def out_of_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    train(replace(options, resume=True, save_minutes=0.0), print, lambda record: None)
in_a_fork(out_of_disk)
in_a_fork(lambda: train(replace(options, resume=True), print, lambda record: None))
""",
    )
    refused = next(line for line in said.splitlines() if line.startswith("refused:"))
    assert "could not be saved" in refused
    assert "what was saved before is whole; make room, and the same command with --resume goes on" in refused
    assert steps_of(options) == list(range(1, 9))


def test_a_checkpoint_knows_its_split_and_another_is_refused(options: Options) -> None:
    train(options, quiet, quiet)
    newest = sorted((options.out / "checkpoints").glob("step-*"))[-1]
    progress = json.loads((newest / "progress.json").read_text())
    assert progress["split"]["toy-corpus"]["validation"]
    progress["split"]["toy-corpus"]["validation"] = ["s01_e99"]
    states = Checkpoints(newest.parent)
    for folder in newest.parent.glob("step-*"):
        shutil.rmtree(folder)
    staged = states.staging() / "checkpoint-8"
    staged.mkdir()
    states.publish(staged, 8, progress, is_stable=True)
    with pytest.raises(TrainingError, match="was trained on another split of its corpora"):
        train(replace(options, resume=True), quiet, quiet)
