"""The measure moves: true lines, caricature, a parrot, shuffled labels, "I don't know", nothing at all."""

import random
from collections.abc import Callable, Sequence

import pytest

from persona.characters import friends
from persona.dialogue import Scene, Turn
from training.evaluation.figures import Figure
from training.evaluation.judge import Judge, train_judge
from training.evaluation.pieces import Generated
from training.evaluation.plan import Ask
from training.evaluation.sounding import NEEDED, POOLS, sounding

WHO = friends()[:2]
OWN = {
    WHO[0].name: ["soup", "spoon", "bowl", "ladle", "plate"],
    WHO[1].name: ["rope", "anchor", "sail", "harbour", "mast"],
}
TYPICAL = 0.65
COMMON = ["well", "so", "then", "maybe", "you", "know", "it", "is", "there", "now"]


def say(name: str, draw: random.Random, typical: float) -> str:
    """Say five words, one of the speaker's own among them in `typical` of all lines, else one of the other's."""
    own, other = OWN[name], next(words for key, words in OWN.items() if key != name)
    return " ".join([*draw.choices(COMMON, k=4), draw.choice(own if draw.random() < typical else other)])


def ask(number: int, episodes: int, draw: random.Random) -> Ask:
    """Return a context in which the other one has just spoken."""
    persona, other = WHO[number % 2], WHO[(number + 1) % 2]
    message = Turn(other.name, say(other.name, draw, TYPICAL))
    said = say(persona.name, draw, TYPICAL)
    return Ask("scene", number, f"e{number % episodes}", Scene((message,)), persona, said)


def asks(count: int, episodes: int = 1) -> list[Ask]:
    """Return contexts, of both in turn."""
    draw = random.Random(1)
    return [ask(number, episodes, draw) for number in range(count)]


ENOUGH = asks(2 * NEEDED)


@pytest.fixture(scope="module")
def judge() -> Judge:
    draw = random.Random(0)
    turns = [Turn(one.name, say(one.name, draw, TYPICAL)) for _ in range(400) for one in WHO]
    return train_judge([Scene(tuple(turns))], [one.name for one in WHO])


def measured(judge: Judge | None, contexts: Sequence[Ask], bot: Callable[[Ask], str | None]) -> dict[str, Figure]:
    """Return the figures of what `bot` says; where it says None, that is a fallback."""
    texts = {one.number: bot(one) for one in contexts}
    replies = {
        ("scene", at): Generated("scene", at, text or "", "stop", text is None, ()) for at, text in texts.items()
    }
    return {one.key: one for one in sounding(contexts, replies, judge).figures}


def test_true_lines_sound_as_true_lines_do(judge: Judge) -> None:
    found = measured(judge, ENOUGH, lambda one: one.said)
    keys = ("single", *(f"pooled_{size}" for size in POOLS))
    assert list(found) == [f"{key}{of}" for key in keys for of in ("", "_ratio", "_weakest")]
    assert found["single"].value == found["single"].people == pytest.approx(TYPICAL, abs=0.06)
    assert all(found[f"{key}{of}"].value == 1 for key in keys for of in ("_ratio", "_weakest"))
    single, twenty, fifty = (found[key].value or 0 for key in keys)
    assert single < twenty < fifty, "many lines together tell more"


def test_caricature_sounds_more_like_them_than_they_do(judge: Judge) -> None:
    draw = random.Random(2)
    found = measured(judge, ENOUGH, lambda one: say(one.persona.name, draw, 0.95))
    assert (found["single_ratio"].value or 0) > 1.3
    assert (found["pooled_20_ratio"].value or 0) > 1.05


def test_everybody_alike_is_found_by_chance(judge: Judge) -> None:
    found = measured(judge, ENOUGH, lambda one: "I don't know.")
    assert found["single"].value == pytest.approx(1 / 2)
    assert found["pooled_50"].value == pytest.approx(1 / 2)
    assert found["single_weakest"].value == 0
    assert found["single_weakest"].note in OWN


def test_labels_in_disorder_are_found_by_chance(judge: Judge) -> None:
    shuffled = random.Random(3).sample(ENOUGH, len(ENOUGH))
    found = measured(judge, ENOUGH, lambda one: shuffled[one.number].said)
    assert found["single"].value == pytest.approx(1 / 2, abs=0.06)
    assert (found["pooled_50_ratio"].value or 0) < 0.8


def test_a_parrot_sounds_like_the_other_one(judge: Judge) -> None:
    found = measured(judge, ENOUGH, lambda one: one.message)
    assert (found["single_ratio"].value or 1) < 0.75
    assert (found["pooled_50"].value or 0) < 0.1


def test_a_fallback_is_a_failure_one_by_one_and_in_pools(judge: Judge) -> None:
    half = measured(judge, ENOUGH, lambda one: one.said if one.number % 4 < 2 else None)
    assert half["single"].value == pytest.approx(TYPICAL / 2, abs=0.06)
    assert half["single"].note == f"{len(ENOUGH)} replies, {len(ENOUGH) // 2} fallbacks among them"
    assert 0.4 < (half["pooled_50_ratio"].value or 0) <= 0.5
    none = measured(judge, ENOUGH, lambda one: None)
    assert none["single"].value == 0
    assert none["pooled_20"].value == 0


def test_pools_need_lines_enough_of_each(judge: Judge) -> None:
    found = measured(judge, ENOUGH[:-1], lambda one: one.said)
    assert found["single"].value is not None
    assert [found[f"pooled_{size}"].value for size in POOLS] == [None] * len(POOLS)
    assert found["pooled_20"].note == "needs 200 replies of each character, there are 199 of one"


def test_episodes_are_what_the_intervals_are_over(judge: Judge) -> None:
    contexts = asks(2 * NEEDED, episodes=8)
    found = measured(judge, contexts, lambda one: one.said if one.episode < "e4" else one.message)
    for key in ("single", "single_ratio", "pooled_20", "pooled_20_ratio", "pooled_50_weakest"):
        low, value, high = found[key].low, found[key].value, found[key].high
        assert low is not None
        assert high is not None
        assert value is not None
        assert low <= value <= high
        assert high - low > 0.05
    assert found["single"].people != found["single"].value


def test_what_cannot_be_said_has_a_note(judge: Judge) -> None:
    stranger = Ask("stranger", 0, "prompt 0", Scene((Turn("Guest", "Hi"),)), WHO[0])
    reply = Generated("stranger", 0, "soup", "stop", False, ())
    figures = sounding([stranger, ENOUGH[0]], {("stranger", 0): reply}, judge).figures
    assert {(one.value, one.note) for one in figures} == {(None, "no replies")}
    alone = measured(None, ENOUGH, lambda one: one.said)
    assert {(one.value, one.note) for one in alone.values()} == {(None, "no judge: it needs lines of two characters")}
