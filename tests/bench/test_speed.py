"""The benches' own arithmetic, on steps whose length is known."""

import itertools
import time
from pathlib import Path

import pytest

from bench.copied_recipe.recipe import Read
from bench.speed.memory import report
from bench.speed.reach import Keeper, best_of, verdict
from bench.speed.turns import Turns


def test_both_sides_get_their_turns_and_each_second_is_counted_once() -> None:
    copied: list[float] = []

    def step() -> Read:
        time.sleep(0.02)
        copied.append(time.perf_counter())
        return Read(1.0, 100, 120, 4)

    turns = Turns(step, seconds=0.1, rounds=2)
    began, steps = time.perf_counter(), 0
    while True:
        time.sleep(0.01)
        steps += 1
        turns.show({"kind": "train", "tokens": 1000 * steps})
        if turns.stop():
            break
    spent = time.perf_counter() - began
    assert turns.ours.steps == steps - 1, "the first step warms up"
    assert turns.ours.tokens == 1000 * (steps - 1)
    assert turns.theirs.steps == len(copied) - 1
    assert turns.theirs.lines == 4 * turns.theirs.steps
    assert turns.theirs.tokens == 100 * turns.theirs.steps
    assert 0.2 <= turns.ours.seconds < spent
    assert 0.2 <= turns.theirs.seconds < spent
    assert turns.ours.seconds + turns.theirs.seconds <= spent
    pauses = [later - sooner for sooner, later in itertools.pairwise(copied)]
    assert sum(pause > 0.09 for pause in pauses) == 2, "ours is at work twice"


def test_what_the_copied_run_reached_is_the_goal(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"minutes": 0, "bits_per_byte": 1.6}\n{"minutes": 3, "loss": 2}\n'
        '{"minutes": 40, "bits_per_byte": 1.4}\n{"minutes": 60, "bits_per_byte": 1.5}\n'
    )
    copied = best_of(log)
    assert copied["minutes"] == 40
    rows = [{"minutes": minute, "bits_per_byte": figure} for minute, figure in ((0, 1.5), (4, 1.39), (8, 1.26))]
    said = verdict(rows, copied)
    assert "below it at minute 4.0, 10.0 % of its minutes" in said
    assert "lowest 1.2600 at minute 8.0, 10.0 % below it" in said
    assert "never below it" in verdict(rows[:1], copied)


def test_every_saved_state_is_kept_once(tmp_path: Path) -> None:
    states = tmp_path / "checkpoints"
    keeper = Keeper(states, tmp_path / "kept")
    for step in (1, 2):
        folder = states / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "trainable.safetensors").write_bytes(b"%d" % step)
        assert not keeper.keep()
        assert not keeper.keep()
    assert [file.read_bytes() for file in sorted(keeper.folder.iterdir())] == [b"1", b"2"]


def test_growth_is_that_behind_the_first_eighth() -> None:
    held = [100.0] * 10 + [200.0] * 60 + [230.0] * 10
    assert "growth +30 MiB" in report(held)
    assert "80 steps" in report(held)
    assert report([5.0]).startswith("1 steps")


@pytest.mark.parametrize("steps", [7, 8, 9])
def test_few_steps_can_be_reported(steps: int) -> None:
    assert "growth +0 MiB" in report([5.0] * steps)
