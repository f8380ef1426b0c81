"""What is in a corpus and what is left out: exact counts, by the filters that training uses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from persona.characters import friends
from persona.dialogue import Scene, Turn
from persona.screenplay import Tokens
from tests.toys import toy_scenes
from training.corpus import load_corpus
from training.inspection import Inspection, InspectionError, Question, Spread, inspect
from training.samples import Sampler
from training.split import split_scenes

Make = Callable[..., Path]
JOEY = "Joey Tribbiani"
ODD = (
    Scene(
        (
            Turn("TRANSCRIPT_NOTE", "[Scene: a kitchen]"), Turn(JOEY, "(waves)"), Turn(JOEY, "Hello."),
            Turn(JOEY, "Anybody?"), Turn("Ann", "..."), Turn(JOEY, "no no no no no"), Turn("Ann", "Hi!"),
            Turn(JOEY, "12?"), Turn("Ann", "The secret soup. " * 60), Turn(JOEY, "Yes."),
        ),
        "s02_e01_c01", "s02_e01",
    ),
    Scene((Turn("Ann", "Alone."), Turn("Ann", "Still.")), "s02_e01_c02", "s02_e01"),
    Scene((Turn("TRANSCRIPT_NOTE", "[Empty]"),), "s02_e01_c03", "s02_e01"),
)  # fmt: skip


@pytest.fixture
def look(make_corpus: Make, tmp_path: Path) -> Callable[..., Inspection]:
    def look_into(scenes: tuple[Scene, ...] = (*toy_scenes(), *ODD), base: str = "none", **more: object) -> Inspection:
        return inspect(Question(str(make_corpus(scenes)), tmp_path / "cache", base=base, **more))  # type: ignore[arg-type]

    return look_into


def drops(found: Inspection) -> dict[str, tuple[int, str]]:
    return {drop.reason: (drop.lines, drop.example) for drop in (*found.cleaning, *found.teaching) if drop.lines}


def test_every_line_that_is_left_out_has_its_reason(look: Callable[..., Inspection], gpt2: Path) -> None:
    found = look(base=str(gpt2))
    assert (found.conversations, found.scenes, found.units, found.unit) == (15, 13, 13, "episode")
    assert (found.found, found.lines, found.taught) == (96 + 13, 96 + 7, 46)
    assert drops(found) == {
        "directions of a scene (TRANSCRIPT_NOTE)": (2, "s02_e01_c01_u001"),
        "nothing but action notes": (1, "s02_e01_c01_u002"),
        "joined to the same speaker's line before": (2, "s02_e01_c01_u001"),
        "alone in their scene": (1, "s02_e01_c02_u001"),
        "held out for validation": (8, "s01_e05_c01_u001"),
        "of speakers who are not taught (kept as context)": (46, "s01_e00_c01_u001"),
        "longer than a window": (1, "s02_e01_c01_u001"),
        "without a letter": (1, "s02_e01_c01_u001"),
        "loops of the same words": (1, "s02_e01_c01_u001"),
    }
    assert found.held_out == {"validation": 1, "test": 0, "left out": 0}
    assert found.seasons == {"s01": 12, "s02": 1}


def test_two_lines_make_a_scene(look: Callable[..., Inspection]) -> None:
    pairs = tuple(Scene((Turn("Ann", "Soup?"), Turn("Bo", "Yes.")), f"s01_e{at}_c1", f"s01_e{at}") for at in range(4))
    found = look(pairs)
    assert (found.scenes, found.lines, sum(drop.lines for drop in found.cleaning)) == (4, 8, 0)


def test_speakers_and_lengths(look: Callable[..., Inspection]) -> None:
    found = look()
    assert [(one.name, one.lines, one.taught) for one in found.speakers] == [(JOEY, 52, True), ("Ann", 51, False)]
    assert sum(one.words for one in found.speakers) == found.speakers[0].words + found.speakers[1].words
    assert found.turns_a_scene == Spread(median=8, p90=8, most=8)
    assert found.words_a_line.most == 180


def test_spread() -> None:
    assert Spread.of(range(1, 11)) == Spread(median=5, p90=9, most=10)
    assert Spread.of([3]) == Spread(3, 3, 3)


def test_without_a_friend_everybody_is_taught(look: Callable[..., Inspection]) -> None:
    found = look(toy_scenes(speakers=("Cy", "Ann")))
    assert {one.name for one in found.speakers if one.taught} == {"Cy", "Ann"}
    assert "of speakers who are not taught (kept as context)" not in drops(found)
    assert {one.name for one in look(toy_scenes(), persona="Ann").speakers if one.taught} == {"Ann"}


def test_the_budget_is_that_of_the_first_pass(look: Callable[..., Inspection], gpt2: Path, tmp_path: Path) -> None:
    budget = look(toy_scenes(), base=str(gpt2), tokens=200, rate="2").budget
    assert budget is not None
    assert (budget.window, budget.step, budget.rate_from) == (128, 200, "as given")
    assert budget.steps * 200 >= budget.read > budget.learned > 0
    assert budget.minutes == budget.read / 2 / 60


def test_rates(look: Callable[..., Inspection], gpt2: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    rows = [{"kind": "train", "tokens_per_second": rate} for rate in (100.0, 300.0)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    measured = look(toy_scenes(), base=str(gpt2), rate=str(run)).budget
    assert measured is not None
    assert (measured.rate, measured.rate_from) == (300.0, f"measured in {run}")
    unknown = look(toy_scenes(), base=str(gpt2)).budget
    assert unknown is not None
    assert (unknown.rate, unknown.minutes) == (None, None)
    (run / "metrics.jsonl").write_text("")
    for rate in ("fast", "0", "nan", "inf", "-3", str(run)):
        with pytest.raises(InspectionError, match=r"--rate must be tokens a second|has not measured"):
            look(toy_scenes(), base=str(gpt2), rate=rate)


@pytest.mark.parametrize(
    ("scenes", "more", "trouble"),
    [
        (toy_scenes(2), {}, "needs at least 3 episodes to hold some out"),
        (toy_scenes(), {"leave_out": ("season=s09",)}, "s09"),
        (toy_scenes(), {"leave_out": ("season=s01",)}, "3 episodes"),
    ],
)
def test_what_cannot_be_trained_on_is_shown_all_the_same(
    look: Callable[..., Inspection], scenes: tuple[Scene, ...], more: dict[str, object], trouble: str
) -> None:
    found = look(scenes, **more)
    assert found.trouble is not None
    assert trouble in found.trouble
    assert found.lines == 8 * len(scenes)
    assert (found.teaching, found.budget) == ([], None)


def test_leaving_a_season_out(look: Callable[..., Inspection]) -> None:
    found = look(leave_out=("season=s02",))
    assert drops(found)["left out as asked"] == (7, "s02_e01_c01_u001")
    assert found.held_out["left out"] == 1


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"persona": "Cy"}, "nobody here is called 'Cy'"),
        ({"persona": "ross"}, "nobody called Ross Geller speaks in the corpus"),
        ({"base": "nothing"}, "there is no base 'nothing'.*; --base none looks at the corpus alone"),
    ],
)
def test_what_cannot_be_looked_at_is_a_sentence(
    look: Callable[..., Inspection], more: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InspectionError, match=complaint):
        look(toy_scenes(), **more)


def test_a_corpus_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match="there is no corpus folder"):
        inspect(Question(str(tmp_path / "nowhere"), tmp_path))


def test_no_text_comes_out(look: Callable[..., Inspection]) -> None:
    assert "secret" not in json.dumps(look().to_mapping())


class OneTokenATurn:
    """A screenplay in which nothing is too long."""

    def turn(self, turn: Turn, *, learned: bool) -> Tokens:
        return Tokens([0], [learned])

    def header(self, name: str) -> list[int]:
        return []


@pytest.mark.parametrize("name", ["friends-corpus", "casual-corpus", "technical-corpus"])
def test_the_counts_add_up_to_what_training_reads(name: str, friends_corpus: Path, tmp_path: Path) -> None:
    folder = friends_corpus.parent / name
    found = inspect(Question(str(folder), tmp_path, base="none"))
    corpus = load_corpus(str(folder), tmp_path)
    turns = [turn for scene in corpus.scenes for turn in scene.turns]
    assert found.found - sum(drop.lines for drop in found.cleaning) == found.lines == len(turns)
    taught = {one.name for one in friends()} if name == "friends-corpus" else None
    windows = Sampler(OneTokenATurn(), taught, masked_share=0.0).windows(split_scenes(corpus).train)
    assert found.taught == sum(window.replies for window in windows)
