"""Training states: whole or absent, checked before use, and only those that are needed kept."""

import json
from pathlib import Path

import pytest

from training.checkpoints import MANIFEST, Checkpoints, damage, step_of


@pytest.fixture
def states(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def save(states: Checkpoints, step: int, *, stable: bool = True, best: int = 0) -> None:
    staged = states.staging() / f"checkpoint-{step}"
    staged.mkdir()
    (staged / "optimizer.pt").write_bytes(b"state %d" % step)
    states.publish(staged, step, {"step": step}, is_stable=stable)
    states.tidy(step, best)


def kept(states: Checkpoints) -> list[int]:
    return sorted(step_of(folder) for folder in states.path.glob("step-*"))


def test_the_last_two_the_last_stable_and_the_best_are_kept(states: Checkpoints) -> None:
    for step, stable in ((5, True), (40, True), (50, False), (60, False), (300, False), (400, False)):
        save(states, step, stable=stable, best=5)
    assert kept(states) == [5, 40, 300, 400]


@pytest.mark.parametrize("more", [1, 2, 3, 8])
def test_more_are_kept_for_an_average(tmp_path: Path, more: int) -> None:
    states = Checkpoints(tmp_path / "checkpoints", more=more)
    for step in range(1, 16):
        save(states, step)
        assert kept(states) == list(range(max(1, step - 1 - more), step + 1))


def test_the_newest_whole_state_is_used(states: Checkpoints) -> None:
    said: list[str] = []
    assert states.latest(said.append) is None
    save(states, 1)
    save(states, 2, stable=False)
    newest = states.latest(said.append)
    assert newest is not None
    assert (newest.step, newest.is_stable, newest.progress()) == (2, False, {"step": 2})
    stable = states.latest(said.append, stable=True)
    assert stable is not None
    assert stable.step == 1
    assert said == []


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda folder: (folder / "optimizer.pt").write_bytes(b"state 3"), "optimizer.pt has changed"),
        (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda folder: (folder / MANIFEST).unlink(), f"{MANIFEST} is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{"), f"{MANIFEST} cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text('{"sha256": {}}'), "progress.json is missing"),
    ],
)
def test_a_damaged_state_is_recognised_and_the_one_before_it_used(states: Checkpoints, harm: object, why: str) -> None:
    save(states, 1)
    save(states, 2)
    harm(states.path / "step-00000002")  # type: ignore[operator]
    assert damage(states.path / "step-00000002") == why
    said: list[str] = []
    state = states.latest(said.append)
    assert state is not None
    assert state.step == 1
    assert said == [f"The checkpoint step-00000002 is damaged ({why}): going on from the one before it."]
    save(states, 2)
    assert damage(states.path / "step-00000002") == ""


def test_only_damaged_states_are_as_good_as_none(states: Checkpoints) -> None:
    save(states, 1)
    (states.path / "step-00000001" / "optimizer.pt").write_bytes(b"")
    said: list[str] = []
    assert states.latest(said.append) is None
    assert "there is no whole one before it" in said[0]


def test_a_run_that_went_back_drops_what_was_ahead_once_it_saved_again(states: Checkpoints) -> None:
    for step in (10, 20, 30):
        save(states, step, stable=step < 20)
    save(states, 12)
    assert kept(states) == [10, 12]


def test_what_a_kill_left_in_staging_is_no_state(states: Checkpoints) -> None:
    (states.staging() / "checkpoint-9").mkdir()
    assert states.latest(lambda line: None) is None
    save(states, 3)
    assert json.loads((states.path / "step-00000003" / MANIFEST).read_text())["step"] == 3
