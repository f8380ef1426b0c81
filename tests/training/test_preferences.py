"""Preferences: all replies to one message in one window, each as if alone; what readers would send gets likelier."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_base_model, load_screenplay
from persona.card import read_card
from persona.characters import Persona, find_persona, friends
from persona.copied import CopiedLines
from persona.dialogue import Scene, Turn
from persona.screenplay import Screenplay
from tests.toys import toy_gpt2, toy_llama
from training.judged import Judged
from training.measures import LearnedLoss
from training.microbatches import micro_batches
from training.options import Options
from training.preferences import MARGIN, SHARPNESS, JudgedSampler
from training.samples import STRANGERS, Sampler
from training.stream import collate, weights_of
from training.train import TrainingError, train
from training.windows import Window

Make = Callable[..., Path]
JOEY: Persona = find_persona("joey", friends())
GOOD, BAD = ("Two bowls.", "All of it!"), ("The spoon is a moon.", "No.", "I am soup soup.")
JUDGED = Judged(("Is there soup?",), JOEY, GOOD, BAD)
LATER = Judged(("Is there soup?", "Yes.", "Where?"), JOEY, ("In me.",), ("A bird.",))


@pytest.fixture(scope="module", params=[toy_gpt2, toy_llama])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[LearnedLoss, Screenplay]:
    folder: Path = request.param(tmp_path_factory.mktemp("toy") / "base")
    base = find_base(str(folder), tmp_path_factory.mktemp("cache"))
    return LearnedLoss(load_base_model(base, torch.float32)).eval(), load_screenplay(base.folder)


def windows(screenplay: Screenplay, *judged: Judged, window: int = 300) -> list[Window]:
    return JudgedSampler(screenplay, judged, window=window).epoch([one.scene for one in judged], seed=1, epoch=0)


def nats_of(model: LearnedLoss, screenplay: Screenplay, turns: tuple[Turn, ...]) -> tuple[float, int]:
    """Return the nats of the last turn's words and end behind the others in a pass of its own, and how many tokens."""
    (window,) = Sampler(screenplay, {turns[-1].name}, window=300, masked_share=0.0).windows([Scene(turns, "c", "e")])
    size = len(screenplay.said(turns[-1].text))
    marks = [at for at, mark in enumerate(window.learned) if mark][-size:]
    alone = Window(window.ids, tuple(at in marks for at in range(len(window.ids))), 1, 1, "e")
    return float(model(**collate([alone])).sum()), size


def stranger_of(screenplay: Screenplay, window: Window) -> str:
    text = screenplay.tokenizer.decode(window.ids)
    return next(name for name in sorted(STRANGERS, key=len, reverse=True) if text.startswith(name))


@torch.no_grad()
def test_every_reply_costs_what_it_costs_alone(model: tuple[LearnedLoss, Screenplay]) -> None:
    loss, screenplay = model
    found = windows(screenplay, JUDGED, LATER)
    assert [len(one.choices) for one in found] == [5, 2]
    nats = loss(**collate(found))  # the shorter window is padded
    expected_pairs, learned = [], 0.0
    for window, judged in zip(found, (JUDGED, LATER), strict=True):
        name = stranger_of(screenplay, window)
        before = tuple(Turn(JOEY.name if at % 2 else name, text) for at, text in enumerate(judged.said))
        cost = {
            text: nats_of(loss, screenplay, (*before, Turn(JOEY.name, text))) for text in (*judged.good, *judged.bad)
        }
        learned += sum(cost[text][0] for text in judged.good)
        stake = sum(cost[text][1] for text in judged.good) / (len(judged.good) * len(judged.bad))
        for good in judged.good:
            for bad in judged.bad:
                margin = cost[bad][0] / cost[bad][1] - cost[good][0] / cost[good][1]
                expected_pairs.append(stake * math.log1p(math.exp(MARGIN - SHARPNESS * margin)))
    assert sorted(nats[-len(expected_pairs) :].tolist()) == pytest.approx(sorted(expected_pairs), abs=2e-3)
    assert float(nats[: -len(expected_pairs)].sum()) == pytest.approx(learned, abs=2e-3)


def test_only_good_replies_weigh_and_the_first_of_each_kind_are_never_left_out(
    model: tuple[LearnedLoss, Screenplay],
) -> None:
    _, screenplay = model
    (window,) = windows(screenplay, JUDGED)
    learned = [one for one, weight in zip(window.ids, weights_of(window, 0.3), strict=True) if weight]
    assert set(weights_of(window, 0.3)) == {0.0, 1.0}
    assert sorted(learned) == sorted(one for text in GOOD for one in screenplay.said(text))
    assert (window.replies, window.learned_bytes) == (2, sum(len(text) for text in GOOD))
    small = next(size for size in range(10, 200) if windows(screenplay, JUDGED, window=size))
    (tight,) = windows(screenplay, JUDGED, window=small)
    assert [one.good for one in tight.choices] == [True, False]
    assert len(tight) <= small


def test_a_window_has_at_most_three_of_a_kind_others_in_every_pass(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    many = Judged(("Soup?",), JOEY, ("Soup!",), tuple(f"{at} birds." for at in range(9)))
    sampler = JudgedSampler(screenplay, [many], window=300)
    found = [sampler.epoch([many.scene], 3, epoch)[0] for epoch in range(8)]
    assert {sum(not one.good for one in window.choices) for window in found} == {3}
    bad = {window.ids[one.start : one.stop] for window in found for one in window.choices if not one.good}
    assert len(bad) > 6


def test_who_asks_is_another_stranger_in_every_pass_and_a_pass_repeats(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    sampler = JudgedSampler(screenplay, [JUDGED], window=300)
    passes = [sampler.epoch([JUDGED.scene], 3, epoch) for epoch in range(12)]
    assert passes[0] == sampler.epoch([JUDGED.scene], 3, 0)
    assert len({stranger_of(screenplay, one) for (one,) in passes}) > 4


def test_what_is_held_out_is_a_good_reply_in_its_place(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    (window,) = JudgedSampler(screenplay, [LATER], window=300).windows([LATER.scene])
    assert not window.choices
    assert "A bird" not in screenplay.tokenizer.decode(window.ids)
    assert "In me." in screenplay.tokenizer.decode(
        [one for one, mark in zip(window.ids, window.learned, strict=True) if mark]
    )


@torch.no_grad()
def test_memory_parts_windows_and_never_a_windows_replies(model: tuple[LearnedLoss, Screenplay]) -> None:
    loss, screenplay = model
    found = windows(screenplay, JUDGED, LATER)
    whole = loss(**collate(found)).sum()
    parts = sum(loss(**collate(part)).sum() for part in micro_batches(found, 64))
    assert len(micro_batches(found, 64)) == 2
    assert float(parts) == pytest.approx(float(whole), abs=2e-3)


def test_learning_makes_good_replies_likelier_than_bad_ones(model: tuple[LearnedLoss, Screenplay]) -> None:
    loss, screenplay = model
    batch = collate(windows(screenplay, JUDGED))
    state = {key: one.clone() for key, one in loss.state_dict().items()}
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.02)
    pairs = len(GOOD) * len(BAD)
    before = float(loss(**batch)[-pairs:].sum().detach())
    for _ in range(8):
        optimizer.zero_grad()
        loss(**batch)[-pairs:].sum().backward()
        optimizer.step()
    after = float(loss(**batch)[-pairs:].sum().detach())
    loss.load_state_dict(state)
    assert after < before


def quiet(_: Any) -> None:
    return


@pytest.fixture
def options(make_corpus: Make, gpt2: Path, tmp_path: Path) -> Options:
    file = tmp_path / "judged.jsonl"
    rows = [
        {"prompt": f"Soup number {at}?", "character": "joey", "reply": reply, "counts": counts}
        for at in range(60)
        for reply, counts in ((f"I want to eat all of the {at} bowls of soup you have.", True), ("Spoon.", False))
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return Options(
        corpora=(str(make_corpus()),), base=str(gpt2), persona="joey", minutes=None, out=tmp_path / "run",
        cache=tmp_path / "cache", started=time.monotonic(), tokens=200, max_steps=6, rank=2, judged=file,
        judged_share=0.5, rehearse=False,
    )  # fmt: skip


def test_a_run_learns_from_them_says_so_and_goes_on_only_with_the_same(options: Options) -> None:
    shown: list[dict[str, Any]] = []
    card = read_card(train(options, quiet, shown.append))
    assert {one["corpus"] for one in shown if one["kind"] == "train"} == {"toy-corpus", "judged replies"}
    last = [one for one in shown if one["kind"] == "validation"][-1]
    assert set(last["corpora"]) == {"toy-corpus", "judged replies"}
    assert card.training["judged_share"] == 0.5
    assert len(card.training["judged"]) == 64
    with pytest.raises(TrainingError, match=r"started with judged_share = 0\.5, not"):
        train(replace(options, judged_share=0.2, resume=True, max_steps=8), quiet, quiet)
    assert options.judged
    options.judged.write_text(options.judged.read_text().replace("Spoon", "Fork"), encoding="utf-8")
    with pytest.raises(TrainingError, match="started with judged = "):
        train(replace(options, resume=True, max_steps=8), quiet, quiet)


def test_a_models_own_replies_are_no_data_and_may_be_said_again(options: Options) -> None:
    folder = train(options, quiet, quiet)
    assert [(one["name"], one["weight"]) for one in read_card(folder).data] == [("toy-corpus", 0.5)]
    copied = CopiedLines.read(folder)
    assert copied is not None
    assert not copied.copies("I want to eat all of the 7 bowls of soup you have.")


def test_a_file_without_a_share_and_a_share_without_a_file_are_refused(options: Options) -> None:
    for wrong in (replace(options, judged_share=0.0), replace(options, judged=None)):
        with pytest.raises(TrainingError, match="--judged and --judged-share need each other"):
            train(wrong, quiet, quiet)
    with pytest.raises(TrainingError, match="must leave something to the show"):
        train(replace(options, exchanges_share=0.5), quiet, quiet)
    with pytest.raises(TrainingError, match=r"nowhere\.jsonl cannot be read"):
        train(replace(options, judged=Path("nowhere.jsonl")), quiet, quiet)
