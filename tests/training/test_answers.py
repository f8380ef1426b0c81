"""Answers: all that is said to one message stands in one window, and each answer costs what it costs alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_base_model, load_screenplay
from persona.characters import friends
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from persona.screenplay import Screenplay
from tests.toys import toy_gpt2, toy_llama
from training.answers import AnswersSampler
from training.contrast import SHARE
from training.exchanges import load_exchanges
from training.materials import with_exchanges
from training.measures import LearnedLoss
from training.mixture import Part
from training.options import Options
from training.samples import STRANGERS, Sampler
from training.split import split_scenes
from training.stream import collate, weights_of
from training.windows import Window

NAMES = tuple(one.name for one in friends())
ANSWERS = ("Two bowls.", "No soup. No hope.", "Use a spoon!", "It sings.", "Oh my God, soup!", "Actually, it is stew.")
SAID = Turn(GUEST, "Is there soup?")


def scenes(answers: Sequence[str] = ANSWERS, episode: str = "everyone-0001") -> list[Scene]:
    pairs = zip(NAMES, answers, strict=False)
    return [Scene((SAID, Turn(name, text)), f"{episode}-{name}", episode) for name, text in pairs]


TALK = Scene((Turn(GUEST, "Hi."), Turn(NAMES[0], "Hey!"), Turn(GUEST, "Soup?"), Turn(NAMES[0], "Yes.")), "t", "t")


@pytest.fixture(scope="module", params=[toy_gpt2, toy_llama])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[LearnedLoss, Screenplay]:
    folder: Path = request.param(tmp_path_factory.mktemp("toy") / "base")
    base = find_base(str(folder), tmp_path_factory.mktemp("cache"))
    return LearnedLoss(load_base_model(base, torch.float32)).eval(), load_screenplay(base.folder)


def sampler(screenplay: Screenplay, window: int = 400) -> AnswersSampler:
    return AnswersSampler(screenplay, NAMES, window=window, masked_share=1.0)


def stranger_of(screenplay: Screenplay, window: Window) -> str:
    text = screenplay.tokenizer.decode(window.ids)
    return next(name for name in sorted(STRANGERS, key=len, reverse=True) if text.startswith(name))


def said_in(screenplay: Screenplay, window: Window) -> list[str]:
    """Return what is learned in a window, reply by reply."""
    return [screenplay.tokenizer.decode(window.ids[one.start : one.stop - 1]).strip() for one in window.choices]


@torch.no_grad()
def test_every_answer_costs_what_it_costs_alone(model: tuple[LearnedLoss, Screenplay]) -> None:
    loss, screenplay = model
    few, talk = scenes(["Soup!", "No."], "everyone-0002"), TALK
    found = sampler(screenplay).epoch([*scenes(), *few, talk], 1, 0)  # of three lengths: two rows are padded
    assert [len(one.choices) for one in found] == [6, 2, 0]
    expected = 0.0
    for window, together in zip(found, (scenes(), few, [talk]), strict=True):
        name = stranger_of(screenplay, window)
        for scene in together:
            shown = replace(
                scene, turns=tuple(replace(one, name=name) if one.name == GUEST else one for one in scene.turns)
            )
            (alone,) = Sampler(screenplay, NAMES, window=400, masked_share=0.0).windows([shown])
            expected += float(loss(**collate([alone])).sum())
    assert float(loss(**collate(found)).sum()) == pytest.approx(expected, abs=5e-3)


def test_only_what_is_answered_weighs_and_all_of_it_is_counted(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    (window,) = sampler(screenplay).epoch(scenes(), 1, 0)
    weighed = sorted(one for one, weight in zip(window.ids, weights_of(window, 0.3), strict=True) if weight)
    assert weighed == sorted(one for text in ANSWERS for one in screenplay.said(text))
    assert sorted(said_in(screenplay, window)) == sorted(ANSWERS)
    assert (window.replies, window.learned_bytes) == (6, sum(len(text) for text in ANSWERS))


def test_answers_without_room_stand_in_the_next_window_and_one_that_never_has_any_is_left_out(
    model: tuple[LearnedLoss, Screenplay],
) -> None:
    _, screenplay = model
    long = " ".join(f"soup{at}" for at in range(300))
    for size in (50, 80, 120):
        found = sampler(screenplay, size).epoch(scenes([*ANSWERS[:5], long]), 1, 0)
        assert all(len(one) <= size for one in found)
        assert sorted(text for one in found for text in said_in(screenplay, one)) == sorted(ANSWERS[:5])
    assert len(sampler(screenplay, 50).epoch(scenes(), 1, 0)) > 1
    assert sampler(screenplay).epoch(scenes([long, long]), 1, 0) == []


def test_who_asks_and_the_order_of_answers_change_in_every_pass_and_a_pass_repeats(
    model: tuple[LearnedLoss, Screenplay],
) -> None:
    _, screenplay = model
    passes = [sampler(screenplay).epoch(scenes(), 3, epoch)[0] for epoch in range(12)]
    assert passes[0] == sampler(screenplay).epoch(scenes(), 3, 0)[0]
    assert len({stranger_of(screenplay, one) for one in passes}) > 4
    assert len({said_in(screenplay, one)[0] for one in passes}) > 2


def test_conversations_and_what_is_held_out_are_read_as_other_scenes_are(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    ours, plain = sampler(screenplay), Sampler(screenplay, NAMES, window=400, masked_share=1.0)
    alike = [TALK, replace(TALK, id="u"), *scenes(ANSWERS[:1], "alone")]
    assert ours.epoch(alike, 1, 0) == plain.epoch(alike, 1, 0)
    assert ours.windows(scenes()) == plain.windows(scenes())
    assert not any(one.choices for one in ours.windows(scenes()))


def test_a_line_that_teaches_nothing_is_no_answer(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    (window,) = sampler(screenplay).epoch(scenes(["no no no no no no no no", "Two bowls."]), 1, 0)
    assert said_in(screenplay, window) == ["Two bowls."]


@pytest.mark.parametrize(("contrast", "kind"), [(0.0, AnswersSampler), (0.5, Sampler)])
def test_exchanges_are_read_so_but_with_rivals(gpt2: Path, tmp_path: Path, contrast: float, kind: type) -> None:
    base = find_base(str(gpt2), tmp_path / "cache")
    screenplay = load_screenplay(base.folder)
    asked = ", ".join(f'{{ said = "Soup {at}?", joey = "Mine.", ross = "Actually, {at}." }}' for at in range(40))
    (tmp_path / "everyone.toml").write_text(f"messages = [{asked}]", encoding="utf-8")
    exchanges = load_exchanges(tmp_path, friends())
    assert exchanges is not None
    show = Sampler(screenplay, NAMES, window=200, rival_share=SHARE if contrast else 0.0)
    options = Options(
        corpora=("toy",), base=str(gpt2), persona="all", minutes=None, out=tmp_path, cache=tmp_path / "cache",
        started=0.0, contrast=contrast, exchanges_share=0.5,
    )  # fmt: skip
    part = with_exchanges(options, (Part(exchanges, split_scenes(exchanges), show),), exchanges, (base, screenplay))[-1]
    assert type(part.sampler) is kind
    windows = part.sampler.epoch(part.split.train, 1, 0)
    assert sum(one.replies for one in windows) == len(part.split.train)
    assert len(windows) == len(part.split.train) // (1 if contrast else 2)
