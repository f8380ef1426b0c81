"""The judge tells styles apart, tells nothing where there is nothing, and is the same each time."""

import math
import random

import pytest
import torch

from persona.dialogue import Scene, Turn
from training.evaluation.judge import Judge, JudgeError, train_judge

STYLES = {"Ann": "soup spoon bowl ladle", "Ben": "rope anchor sail harbour", "Cy": "piano violin choir drum"}
COMMON = ["well", "so", "then", "maybe", "you", "know", "it", "is", "there"]


def say(name: str, draw: random.Random, own: int = 2) -> str:
    """Say six words, `own` of them the speaker's."""
    words = draw.choices(STYLES[name].split(), k=own) + draw.choices(COMMON, k=6 - own)
    return " ".join(draw.sample(words, 6))


def scenes(seed: int, own: int = 2, names: tuple[str, ...] = tuple(STYLES)) -> list[Scene]:
    """Return forty scenes in which everybody speaks twice."""
    draw = random.Random(seed)
    return [Scene(tuple(Turn(name, say(name, draw, own)) for name in names * 2)) for _ in range(40)]


def recognised(judge: Judge, seed: int = 1, own: int = 2) -> float:
    """Return how many lines of other scenes are taken for their speaker's."""
    lines = [turn for scene in scenes(seed, own) for turn in scene.turns]
    found = judge.log_probabilities([one.text for one in lines]).argmax(dim=1)
    return sum(judge.names[at] == one.name for at, one in zip(found.tolist(), lines, strict=True)) / len(lines)


def test_styles_are_told_apart() -> None:
    judge = train_judge(scenes(0), list(STYLES))
    assert recognised(judge) > 0.95
    found = judge.log_probabilities([turn.text for turn in scenes(1)[0].turns])
    assert found.shape == (6, 3)
    assert found.dtype is torch.float64
    assert found.exp().sum(dim=1).tolist() == pytest.approx([1.0] * 6)
    assert judge.log_probabilities([]).shape == (0, 3)


def test_nothing_is_learned_where_there_is_nothing() -> None:
    assert recognised(train_judge(scenes(0, own=0), list(STYLES)), own=0) == pytest.approx(1 / 3, abs=0.1)
    draw = random.Random(0)
    labels = [Scene(tuple(Turn(draw.choice([*STYLES]), turn.text) for turn in scene.turns)) for scene in scenes(0)]
    assert recognised(train_judge(labels, list(STYLES))) < 0.6, "shuffled labels"


def test_it_is_the_same_each_time() -> None:
    texts = ["the soup is in the harbour", "", "?!", "qqq zzz"]
    once, again = (train_judge(scenes(0), list(STYLES)).log_probabilities(texts) for _ in range(2))
    assert torch.equal(once, again)


def test_who_says_more_is_no_likelier() -> None:
    uneven = scenes(0, own=0, names=("Ann", "Ben", "Ann", "Ann", "Ann"))
    judge = train_judge(uneven, ["Ann", "Ben"])
    assert judge.log_probabilities(["qqq zzz"]).exp()[0].tolist() == pytest.approx([0.5, 0.5], abs=0.1)


def test_only_lines_that_teach_are_read() -> None:
    silent = [Scene((Turn("Ann", "..."), Turn("Dee", "rope rope"), *scene.turns)) for scene in scenes(0)]
    texts = [turn.text for turn in scenes(1)[0].turns]
    found = [train_judge(one, list(STYLES)).log_probabilities(texts) for one in (silent, scenes(0))]
    assert torch.equal(*found)


def test_names_stand_in_the_order_asked_for_and_one_without_lines_is_never_meant() -> None:
    judge = train_judge(scenes(0), ["Cy", "Nobody", "Ann", "Ben"])
    [found] = judge.log_probabilities(["piano and violin"]).tolist()
    assert found[1] == -math.inf
    assert found.index(max(found)) == 0
    assert recognised(judge) > 0.95


def test_too_little_is_one_sentence() -> None:
    with pytest.raises(JudgeError, match="lines of two characters at least"):
        train_judge(scenes(0), ["Ann"])
    with pytest.raises(JudgeError, match="cannot learn from 2 lines"):
        train_judge([Scene((Turn("Ann", "ab"), Turn("Ben", "cd")))], ["Ann", "Ben"])
