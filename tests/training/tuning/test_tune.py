"""A real toy checkpoint, tuned as a person would."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.engine.bases import sha256_of
from echochamber.cli import app
from persona.card import BaseCard, Card, read_card
from persona.characters import find_persona, friends
from persona.copied import CopiedLines
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from persona.ranking import BREVITY, PARTS, Weights
from tests.toys import toy_llama
from tests.training.conftest import write_corpus
from tests.training.tuning.plays import JOEY, MONICA, play
from training.corpus import load_corpus
from training.exchanges import load_exchanges
from training.split import split_scenes
from training.tuning.reading import Read
from training.tuning.tune import Question, Tuned, TuningError, measure

LEARNED = "Once upon a time there was a bowl that nobody wanted to wash."
PERSONAS = tuple(find_persona(name, friends()) for name in ("joey", "monica"))


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return a folder with a corpus and a checkpoint of random weights that is said to have learned from it."""
    scenes = (*play(), Scene((Turn(MONICA, "Well?"), Turn(JOEY, LEARNED)), "s01_e99_c01", "s01_e99"))
    write_corpus(tmp_path / "show", scenes)
    folder = toy_llama(tmp_path / "model")
    corpus = load_corpus(str(tmp_path / "show"), tmp_path / "cache")
    data = ({"name": corpus.name, "sha256": corpus.sha256, "scenes": len(corpus.scenes)},)
    card = Card(BaseCard("toy", sha256_of(folder / "model.safetensors")), "chatml", "full", PERSONAS, data)
    held_out = sorted(scene.episode for scene in corpus.scenes)
    replace(card, split={"validation": held_out[:12], "test": held_out[12:14]}).write(folder)
    return tmp_path


def question(house: Path, **changes: object) -> Question:
    asked = Question(house / "model", (str(house / "show"),), house / "cache", contexts=8, candidates=2)
    return replace(asked, **changes)


def tuned_by_hand(house: Path, *words: str) -> tuple[int, str, str]:
    arguments = ["tune", "--model", str(house / "model"), "--corpus", str(house / "show"), "--contexts", "8", *words]
    done = CliRunner().invoke(app("tune"), arguments, env={"CACHE_DIR": str(house / "cache"), "COLUMNS": "160"})
    return done.exit_code, done.stdout, done.stderr


def test_the_weights_stand_in_the_card_and_the_training_lines_beside_it(house: Path) -> None:
    code, shown, told = tuned_by_hand(house, "--json")
    assert code == 0, told
    found = json.loads(shown)
    card = read_card(house / "model")
    assert card.ranking == found["weights"]
    assert Weights.from_mapping(card.ranking).to_mapping() == found["weights"]
    assert card.split["test"] == ["s01_e12", "s01_e13"], "nothing else of the card is changed"
    assert found["title"].startswith("show: 8 lines of ")
    assert found["milliseconds"].keys() <= set(PARTS)
    copied = CopiedLines.read(house / "model")
    assert copied is not None
    assert copied.copies(LEARNED)


def test_the_table_says_what_each_part_is_worth(house: Path) -> None:
    code, shown, told = tuned_by_hand(house)
    assert code == 0, told
    for part in PARTS:
        assert f"without {part}" in shown
        assert f"{part} alone" in shown
    assert "all parts" in shown
    assert "of 20, one speaker's" in shown


def test_the_same_seed_gives_the_same_weights(house: Path) -> None:
    first, second = (measure(question(house)) for _ in range(2))
    # What is computed beside a reply moves its score in the last bits.
    assert first.weights.by_part() == pytest.approx(second.weights.by_part(), rel=0.02, abs=0.02)
    assert [row.first["same"] for row in first.rows] == [row.first["same"] for row in second.rows]


def test_contexts_are_of_the_validation_side(house: Path) -> None:
    tuned: Tuned = measure(question(house, candidates=0))
    assert {read.context.episode for read in tuned.reads} <= {f"s01_e{number:02d}" for number in range(12)}
    assert {len(read.replies) for read in tuned.reads} <= {29, 38}
    assert {read.drawn for read in tuned.reads} == {()}
    assert tuned.milliseconds == {}


@pytest.mark.parametrize(("contexts", "theirs"), [(8, 4), (3, 0)])
def test_half_of_what_a_checkpoint_is_tuned_on_is_talk_with_strangers_where_it_learned_that(
    house: Path, contexts: int, theirs: int
) -> None:
    exchanges = load_exchanges(None, PERSONAS)
    assert exchanges is not None
    card = read_card(house / "model")
    replace(card, data=(*card.data, {"name": exchanges.name, "sha256": exchanges.sha256})).write(house / "model")
    tuned = measure(question(house, candidates=0, contexts=contexts))
    strangers = [one.context for one in tuned.reads if one.context.conversation.turns[0].name == GUEST]
    assert len(strangers) == theirs
    assert {one.episode for one in strangers} <= {scene.episode for scene in split_scenes(exchanges).validation}
    assert ("exchanges: 4 lines of" in tuned.title) is (theirs > 0)
    others = {"name": exchanges.name, "sha256": "0" * 64}
    replace(card, data=(*read_card(house / "model").data, others)).write(house / "model")
    tuned = measure(question(house, candidates=0, contexts=contexts))
    assert GUEST not in {one.context.conversation.turns[0].name for one in tuned.reads}, "it may have learned them"


def judged_file(house: Path) -> Path:
    """Write what a reader thought of four replies of two characters each to four messages."""
    rows = [
        {"prompt": prompt, "character": who, "reply": reply, "counts": counts}
        for prompt in ("who ate the soup?", "hello", "where is my hat?", "why me")
        for who in ("joey", "monica")
        for reply, counts in (
            ("I did. It was soup.", True),
            ("a hat a hat", False),
            ("No", False),
            ("Yes, I see.", True),
        )
    ]
    file = house / "judged.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_judged_replies_tune_without_a_corpus(house: Path) -> None:
    file = judged_file(house)
    done = CliRunner().invoke(
        app("tune"),
        ["tune", "--model", str(house / "model"), "--judged", str(file), "--json"],
        env={"CACHE_DIR": str(house / "cache")},
    )
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["title"] == "judged replies to 8 messages: a good one first"
    assert found["rows"][0].keys() == {"name", "judged", "difference"}
    assert read_card(house / "model").ranking == found["weights"]


@pytest.mark.parametrize(("corpora", "in_scenes"), [((), 0), (("show",), 3)])
def test_what_length_does_is_seen_in_scenes_too_where_there_is_a_corpus(
    house: Path, corpora: tuple[str, ...], in_scenes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = tuple(str(house / one) for one in corpora)
    fitted_to: list[Read] = []

    def seven(reads: Sequence[Read]) -> dict[str, float]:
        fitted_to.extend(reads)
        return dict.fromkeys(PARTS, 7.0)

    # What a model of random weights draws is hardly ever readable, so nothing could be fitted to it.
    monkeypatch.setattr("training.tuning.tune.brevity_of", seven)
    tuned = measure(question(house, corpora=places, judged=judged_file(house), contexts=6))
    assert [len(read.replies) for read in tuned.reads] == [4] * 8 + [1] * 6
    own = list(tuned.reads[8:])
    assert sum(read.context.conversation.turns[0].name != GUEST for read in own) == in_scenes
    assert (fitted_to, tuned.weights.brevity) == ((own, dict.fromkeys(PARTS, 7.0)) if in_scenes else ([], BREVITY))


def test_a_corpus_that_is_not_there_is_said_before_anything_is_read(house: Path) -> None:
    steps: list[int] = []
    asked = question(house, corpora=(str(house / "nowhere"),), judged=judged_file(house))
    with pytest.raises(TuningError, match="nowhere"):
        measure(asked, lambda done, of: steps.append(done))
    assert steps == []


def test_there_must_be_something_to_tune_on(house: Path) -> None:
    with pytest.raises(TuningError, match="name a corpus, or a file of judged replies"):
        measure(question(house, corpora=()))


def test_a_line_of_the_corpus_is_in_no_result(house: Path) -> None:
    told = json.dumps(measure(question(house)).to_mapping())
    assert "soup" not in told
    assert "spoon" not in told


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model": Path("nowhere")}, r"has no persona\.json"),
        ({"corpora": ("/nowhere/at-all",)}, "there is no corpus folder"),
        ({"device": "teapot"}, "cannot be used here"),
    ],
)
def test_what_cannot_be_tuned_is_a_sentence(house: Path, change: dict[str, object], complaint: str) -> None:
    with pytest.raises(TuningError, match=complaint):
        measure(question(house, **change))


def test_a_corpus_of_strangers_cannot_tune(house: Path) -> None:
    write_corpus(house / "chat", play(speakers=("Ann", "Ben")))
    with pytest.raises(TuningError, match="none of the checkpoint's characters speaks in chat"):
        measure(question(house, corpora=(str(house / "chat"),)))


def test_one_held_out_episode_cannot_judge_itself(house: Path) -> None:
    card = read_card(house / "model")
    scenes = play()
    longer = [replace(scene, episode="s01_e00", id=f"s01_e00_c{at:02d}") for at, scene in enumerate(scenes[:20])]
    write_corpus(house / "one", (*longer, *scenes[20:]))
    corpus = load_corpus(str(house / "one"), house / "cache")
    data = ({"name": "one", "sha256": corpus.sha256},)
    replace(card, data=data, split={"validation": ["s01_e00"], "test": ["s01_e30"]}).write(house / "model")
    with pytest.raises(TuningError, match="too few episodes"):
        measure(question(house, corpora=(str(house / "one"),)))


def test_what_else_it_learned_from_has_to_be_given_for_the_hashes(house: Path) -> None:
    card = read_card(house / "model")
    replace(card, data=(*card.data, {"name": "chat", "sha256": "ab" * 32})).write(house / "model")
    code, _, told = tuned_by_hand(house)
    assert code == 0, told
    assert "The hashes of the training lines are still missing" in told
    assert read_card(house / "model").ranking != {}


def test_a_wrong_model_is_said_and_exit_code_2(house: Path) -> None:
    (house / "model" / "persona.json").unlink()
    code, shown, told = tuned_by_hand(house)
    assert (code, shown) == (2, "")
    assert "Error: " in told
    assert "has no persona.json" in told.replace("\n", " ")
