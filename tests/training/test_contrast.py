"""Name contrast: a branch costs what its line would under the rival's name, and the loss tells names apart."""

import math
import random
from pathlib import Path

import pytest
import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_base_model, load_screenplay
from persona.dialogue import Scene, Turn
from persona.screenplay import Screenplay
from tests.toys import toy_gpt2, toy_llama
from training.contrast import contrast
from training.measures import LearnedLoss
from training.samples import Sampler
from training.stream import collate, weights_of
from training.windows import Window

JOEY, ROSS, RACHEL, ANN = "Joey Tribbiani", "Ross Geller", "Rachel Green", "Ann"
TURNS = (
    *(Turn(JOEY, "Is there soup?"), Turn(ROSS, "All of it."), Turn(ANN, "It was mine!"), Turn(JOEY, "Was it good?")),
    *(Turn(ANN, "Yes."), Turn(ROSS, "Then wash it up.")),
)
SCENE = Scene(TURNS, "c", "e")


@pytest.fixture(scope="module", params=[toy_gpt2, toy_llama])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[LearnedLoss, Screenplay]:
    folder: Path = request.param(tmp_path_factory.mktemp("toy") / "base")
    base = find_base(str(folder), tmp_path_factory.mktemp("cache"))
    return LearnedLoss(load_base_model(base, torch.float32), contrast=2.0).eval(), load_screenplay(base.folder)


def windows(screenplay: Screenplay, taught: set[str], share: float = 1.0, scene: Scene = SCENE) -> list[Window]:
    sampler = Sampler(screenplay, taught, window=120, masked_share=0.0, rival_share=share)
    return sampler.epoch([scene], seed=1, epoch=0)


def nats_of(model: LearnedLoss, screenplay: Screenplay, turns: tuple[Turn, ...]) -> float:
    """Return the nats of the last turn's words and end, behind the others, in a pass of its own."""
    (window,) = Sampler(screenplay, {turns[-1].name}, window=120, masked_share=0.0).windows([Scene(turns, "c", "e")])
    last = len(screenplay.turn(turns[-1], learned=False).ids)
    learned = [mark and at >= len(window.ids) - last for at, mark in enumerate(window.learned)]
    alone = Window(window.ids, tuple(learned), 1, 1, "e")
    return float(model(**collate([alone])).sum())


def rivals_of(screenplay: Screenplay, scene: Scene, taught: set[str]) -> list[set[str]]:
    """Return, line by line of the taught, whose names it may be read under again."""
    names = {tuple(screenplay.header(name)): name for name in (JOEY, ROSS, RACHEL, ANN)}
    sampler = Sampler(screenplay, taught, window=120, masked_share=0.0, rival_share=1.0)
    found: dict[int, set[str]] = {}
    for epoch in range(30):
        for window in sampler.epoch([scene], seed=0, epoch=epoch):
            for one in window.rivals:
                found.setdefault(one.at, set()).add(names[one.header])
    lines, at = [], 0
    for turn in scene.turns:
        if turn.name in taught:
            lines.append(found.get(at, set()))
        at += len(screenplay.turn(turn, learned=False).ids)
    return lines


def test_a_rival_could_as_well_have_spoken(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    said = [(ANN, "Hi."), (JOEY, "Hi."), (ROSS, "Ah."), (JOEY, "No."), (RACHEL, "Oh."), (JOEY, "Yes."), (ROSS, "So.")]
    scene = Scene(tuple(Turn(*one) for one in said), "c", "e")
    assert rivals_of(screenplay, scene, {JOEY, ROSS, RACHEL}) == [
        {ROSS, RACHEL},  # nobody who is taught has spoken yet: all of them might
        set(),  # the one who has is the last speaker, and nobody follows himself
        set(),
        {ROSS},
        {ROSS},
        {RACHEL},
    ]
    assert rivals_of(screenplay, scene, {JOEY}) == [set(), {ANN}, {ANN, ROSS}], "one alone is told from whoever spoke"


@torch.no_grad()
def test_a_branch_costs_what_the_line_costs_under_the_rivals_name(model: tuple[LearnedLoss, Screenplay]) -> None:
    loss, screenplay = model
    (window,) = windows(screenplay, {JOEY, ROSS})
    lines = (0, 3, 5)  # Ross's first has none: only Joey has spoken, and just now
    assert len(window.rivals) == 3
    assert len(window) == len(window.ids) + sum(one.tokens for one in window.rivals)
    expected = []
    for at in lines:
        rival = ROSS if TURNS[at].name == JOEY else JOEY
        true = nats_of(loss, screenplay, TURNS[: at + 1])
        other = nats_of(loss, screenplay, (*TURNS[:at], Turn(rival, TURNS[at].text)))
        expected.append(2.0 * math.log1p(math.exp(true - other)))
    padded = collate([window, *windows(screenplay, {JOEY, ROSS}, share=0.0)])  # a window without rivals beside it
    nats = loss(**padded)
    assert nats[-3:].tolist() == pytest.approx(expected, abs=2e-4)
    plain = Window(window.ids, window.learned, window.replies, window.learned_bytes, "e")
    assert float(nats[:-3].sum()) == pytest.approx(2 * float(loss(**collate([plain])).sum()), abs=2e-3)


def test_rivals_are_taught_names_and_who_teaches_nobody_has_none(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    (window,) = windows(screenplay, {JOEY, ROSS})
    headers = {tuple(screenplay.header(name)) for name in (JOEY, ROSS)}
    assert {one.header for one in window.rivals} == headers
    for one in window.rivals:
        said = window.ids[one.start : one.stop]
        assert said[-1] == screenplay.end_id
        assert all(window.learned[one.start : one.stop])
        assert window.ids[one.at : one.start] in headers - {one.header}
    assert not windows(screenplay, {JOEY, ROSS}, share=0.0)[0].rivals


def test_a_share_of_the_lines_has_a_rival_and_validation_has_none(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    draw = random.Random(3)
    scenes = [
        Scene((Turn(ANN, "Soup?"), Turn(draw.choice([JOEY, ROSS]), f"Soup {at}.")), f"c{at}", "e") for at in range(120)
    ]
    sampler = Sampler(screenplay, {JOEY, ROSS}, window=120, masked_share=0.0, rival_share=0.5)
    first, again = sampler.epoch(scenes, 0, 0), sampler.epoch(scenes, 0, 0)
    assert first == again != sampler.epoch(scenes, 0, 1)
    assert 0.4 < sum(len(one.rivals) for one in first) / sum(one.replies for one in first) < 0.6
    assert not any(one.rivals for one in sampler.windows(scenes))


def test_a_line_of_a_window_gone_on_with_is_contrasted_once(model: tuple[LearnedLoss, Screenplay]) -> None:
    _, screenplay = model
    scene = Scene(tuple(Turn((JOEY, ROSS, RACHEL)[at % 3], f"{at} bowls of soup.") for at in range(30)), "c", "e")
    found = windows(screenplay, {JOEY, ROSS, RACHEL}, scene=scene)
    said = [one.ids[rival.start : rival.stop] for one in found for rival in one.rivals]
    assert len(found) > 1
    assert said == [tuple(screenplay.said(turn.text)) for turn in scene.turns if turn != scene.turns[1]]
    assert all(weights_of(one, 0.0)[0] == 0.0 for one in found)


def test_the_loss_is_that_of_telling_two_names_apart() -> None:
    pairs = torch.tensor([1, 1, 0, 2, -1, -2, -2])
    nats = torch.tensor([1.0, 2.0, 9.0, 4.0, 5.0, 1.0, 3.0])
    expected = [math.log1p(math.exp(3.0 - 5.0)), math.log1p(math.exp(4.0 - 4.0))]
    assert contrast(nats, pairs).tolist() == pytest.approx(expected)


def test_learning_makes_the_true_name_likelier(model: tuple[LearnedLoss, Screenplay]) -> None:
    loss, screenplay = model
    batch = collate(windows(screenplay, {JOEY, ROSS}))
    state = {key: one.clone() for key, one in loss.state_dict().items()}
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.05)
    before = float(loss(**batch)[-3:].sum().detach())
    for _ in range(5):
        optimizer.zero_grad()
        loss(**batch)[-3:].sum().backward()
        optimizer.step()
    after = float(loss(**batch)[-3:].sum().detach())
    loss.load_state_dict(state)
    assert after < before
