"""Going on from an adapter: its weights are there at the first step, and what does not fit is refused in a sentence."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bot.engine.checkpoints import ADAPTER
from persona.card import read_card
from persona.copied import CopiedLines
from persona.dialogue import Scene, Turn
from tests.toys import LINES, toy_llama, toy_scenes
from training.average import Average, average
from training.train import Options, TrainingError, train

Make = Callable[..., Path]


def quiet(_: Any) -> None:
    return


@pytest.fixture
def first(make_corpus: Make, gpt2: Path, tmp_path: Path) -> Options:
    return Options(
        corpora=(str(make_corpus()),), base=str(gpt2), persona="joey", minutes=None, out=tmp_path / "first",
        cache=tmp_path / "cache", started=time.monotonic(), tokens=200, max_steps=6, rank=2, rehearse=False,
        learning_rate=0.02,
    )  # fmt: skip


def second(first: Options, **changes: Any) -> Options:
    return replace(first, **{"out": first.out.parent / "second", "start_from": first.out, **changes})


def test_a_run_goes_on_from_another_runs_adapter(first: Options) -> None:
    before = train(first, quiet, quiet)
    told: list[dict[str, Any]] = []
    after = train(second(first, learning_rate=1e-9, max_steps=2, prompt_weight=0.5), quiet, told.append)
    old, new = load_file(before / ADAPTER), load_file(after / ADAPTER)
    assert old.keys() == new.keys()
    assert all(torch.equal(old[key], new[key]) for key in old)
    validations = [one for one in told if one["kind"] == "validation"]
    assert validations[0]["step"] == 0  # the untouched base, as in any run
    assert validations[-1]["bits_per_byte"] < validations[0]["bits_per_byte"]
    came_from = read_card(after).training["start_from"]
    assert came_from["steps"] == read_card(before).training["steps"]
    assert len(came_from["sha256"]) == 64
    assert str(first.out) not in (after / "persona.json").read_text()


def test_it_reads_in_another_order_than_the_run_before(first: Options) -> None:
    told: list[list[dict[str, Any]]] = []
    for options in (first, second(first), second(first, out=first.out.parent / "again")):
        told.append([])
        train(options, quiet, told[-1].append)
    tokens = [[one["tokens"] for one in records if one["kind"] == "train"] for records in told]
    assert tokens[0] != tokens[1] == tokens[2]


def test_what_came_before_is_not_forgotten_over_several_runs(first: Options) -> None:
    train(first, quiet, quiet)
    train(second(first, max_steps=2), quiet, quiet)
    third = train(
        second(first, out=first.out.parent / "third", start_from=second(first).out, max_steps=2), quiet, quiet
    )
    assert (
        read_card(third).training["start_from"]["before"]["steps"] == read_card(first.out / "model").training["steps"]
    )


def test_an_average_that_is_gone_on_from_says_what_it_is_made_of(first: Options) -> None:
    parts = (train(first, quiet, quiet), train(second(first, max_steps=2), quiet, quiet))
    made = average(Average(parts, first.out.parent / "averaged", strength=0.5))
    third = train(second(first, out=first.out.parent / "third", start_from=made, max_steps=2), quiet, quiet)
    came_from = read_card(third).training["start_from"]
    assert came_from["strength"] == 0.5
    assert [one["share"] for one in came_from["averaged"]] == [0.5, 0.5]
    assert "before" not in came_from


def test_a_run_that_is_gone_on_with_asks_for_the_same_start(first: Options) -> None:
    train(first, quiet, quiet)
    train(second(first, max_steps=2), quiet, quiet)
    with pytest.raises(TrainingError, match="was started with start_from = "):
        train(second(first, start_from=None, resume=True, max_steps=4), quiet, quiet)
    train(second(first, resume=True, max_steps=4), quiet, quiet)


def test_what_cannot_be_gone_on_from_is_refused(first: Options, tmp_path: Path) -> None:
    model = train(first, quiet, quiet)
    for changes, sentence in (
        ({"full": True}, "--start-from goes on from an adapter and trains one"),
        ({"rank": 3}, "has rank 2: give --rank 2"),
        ({"base": str(toy_llama(tmp_path / "llama"))}, "was trained on another base"),
        ({"start_from": tmp_path / "nowhere"}, "nowhere"),
    ):
        with pytest.raises(TrainingError, match=sentence):
            train(second(first, **changes), quiet, quiet)
    assert not second(first).out.exists()
    card = read_card(model)
    replace(card, training={**card.training, "steps": 0}).write(model)
    with pytest.raises(TrainingError, match="is still the untouched base: its run has found nothing better yet"):
        train(second(first), quiet, quiet)
    card.write(model)
    config = model / "adapter_config.json"
    config.write_text(json.dumps({"rank": 2}))
    with pytest.raises(TrainingError, match=r"adapter_config.json is missing or damaged"):
        train(second(first), quiet, quiet)
    (model / ADAPTER).unlink()
    with pytest.raises(TrainingError, match=r"has no adapter_model\.safetensors"):
        train(second(first), quiet, quiet)


def test_a_damaged_adapter_is_refused(first: Options) -> None:
    model = train(first, quiet, quiet)
    (model / ADAPTER).write_bytes(b"not weights")
    with pytest.raises(TrainingError, match="cannot be loaded"):
        train(second(first), quiet, quiet)


def test_what_was_learned_before_is_not_recited(first: Options, make_corpus: Make) -> None:
    lines = ("We carried nine bowls of hot leek soup upstairs today.", "And then all of us ate it on the roof.")
    taught = tuple(
        Scene(tuple(Turn(turn.name, lines[at % 2]) for at, turn in enumerate(one.turns)), one.id, one.episode)
        for one in toy_scenes()
    )
    first = replace(first, corpora=(str(make_corpus(taught, "before")),), max_steps=2)
    train(first, quiet, quiet)
    told: list[str] = []
    next_one = second(first, corpora=(str(make_corpus()),))
    copied = CopiedLines.read(train(next_one, told.append, quiet))
    assert copied is not None
    assert all(map(copied.copies, lines))
    assert any(map(copied.copies, LINES))
    assert not [line for line in told if "recited" in line]
    (first.out / "model" / "copied.hashes").unlink()
    train(replace(next_one, out=first.out.parent / "third"), told.append, quiet)
    assert [line for line in told if "recited" in line]


def test_other_episodes_cannot_be_held_out_than_before(first: Options) -> None:
    train(replace(first, max_steps=2), quiet, quiet)
    with pytest.raises(TrainingError, match="learned from episodes of toy-corpus that would be held out"):
        train(second(first, leave_out=("episode=s01_e03",)), quiet, quiet)
    assert not second(first).out.exists()


def test_fewer_episodes_may_be_held_out_than_before(first: Options) -> None:
    train(replace(first, leave_out=("episode=s01_e03",), max_steps=2), quiet, quiet)
    train(second(first, max_steps=2), quiet, quiet)
    assert read_card(second(first).out / "model").training["start_from"]["steps"] == 2
