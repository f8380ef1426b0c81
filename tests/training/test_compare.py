"""Checkpoints of real tiny runs, measured beside their base and beside each other."""

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot.engine.checkpoints import ADAPTER
from echochamber.cli import app
from persona.dialogue import Turn
from tests.toys import toy_gpt2, toy_llama, toy_scenes
from tests.training.conftest import write_corpus
from training.compare import CompareError, Question, compare
from training.readings import ratio_of_files, read_reading
from training.train import Options, train


def quiet(_: Any) -> None:
    return


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a show, a chat, and two runs: `gpt2` learned from both, `llama` from the show."""
    at = tmp_path_factory.mktemp("house")
    show, chat = toy_scenes(40), toy_scenes(40, ("speaker_0", "speaker_1"))
    write_corpus(at / "show", show)
    write_corpus(at / "chat", chat)
    options = Options(
        corpora=(f"{at / 'show'}:0.5", f"{at / 'chat'}:0.5"), base=str(toy_gpt2(at / "bases" / "gpt2")),
        persona="joey", minutes=None, out=at / "gpt2", cache=at / "cache", started=time.monotonic(), tokens=200,
        max_steps=30, rank=2, learning_rate=1e-2, rehearse=False,
    )  # fmt: skip
    train(options, quiet, quiet)
    train(
        replace(
            options, corpora=(str(at / "show"),), base=str(toy_llama(at / "bases" / "llama")), out=at / "llama",
            max_steps=2, full=True, learning_rate=1e-4,
        ), quiet, quiet,
    )  # fmt: skip
    return at


def question(house: Path, corpus: str = "show", **changes: Any) -> Question:
    return replace(Question(house / "gpt2", str(house / corpus), house / "cache"), **changes)


def test_a_checkpoint_stands_beside_its_base(house: Path) -> None:
    steps: list[tuple[int, int]] = []
    answer = compare(question(house), lambda done, of: steps.append((done, of)))
    assert answer.against is None
    assert answer.title.startswith(f"show: {answer.replies} replies of Joey Tribbiani in ")
    assert answer.ratio.value == answer.ours.total.bits_per_byte / answer.theirs.total.bits_per_byte
    assert answer.ratio.low <= answer.ratio.value <= answer.ratio.high < 1
    assert steps == [(number, len(steps)) for number in range(1, len(steps) + 1)]
    told = answer.to_mapping()
    assert told["base_bits_per_byte"] == answer.theirs.total.bits_per_byte
    assert told["replies"] == answer.replies > 0


def test_in_a_corpus_beside_the_show_everybody_counts(house: Path) -> None:
    answer = compare(question(house, "chat"))
    assert "replies of everybody in" in answer.title
    assert answer.ratio.high < 1, "it was learned from, too"
    silent = compare(question(house, "chat", model=house / "llama"))
    assert "replies of everybody" in silent.title
    assert "does not know" in silent.title
    assert {key: one.size for key, one in silent.ours.by_episode.items()} == {
        key: one.size for key, one in answer.ours.by_episode.items()
    }


def test_two_checkpoints_read_the_same_lines_whatever_their_tokenizers(house: Path, tmp_path: Path) -> None:
    answer = compare(question(house, against=house / "llama", split="all"))
    assert answer.against == str(house / "llama")
    assert answer.ours.total.size == answer.theirs.total.size
    assert answer.ratio.value == pytest.approx(answer.ours.total.nats / answer.theirs.total.nats)
    assert answer.ratio.value != 1
    told = answer.to_mapping()
    assert "base_bits_per_byte" not in told
    assert told["against_bits_per_byte"] == answer.theirs.total.bits_per_byte

    files = [tmp_path / f"{name}.json" for name in ("gpt2", "llama")]
    for file in files:
        alone = compare(question(house, model=house / file.stem, split="all"))
        file.write_text(json.dumps(alone.to_mapping()))
    assert ratio_of_files(*files) == pytest.approx(answer.ratio, rel=1e-6)


def test_a_line_that_one_tokenizer_cannot_read_whole_is_asked_of_neither(house: Path, tmp_path: Path) -> None:
    scenes = toy_scenes(6)
    wide = tmp_path / "wide"
    shutil.copytree(house / "llama" / "model", wide)
    config = json.loads((wide / "config.json").read_text())
    (wide / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 512}))
    speech = Turn("Joey Tribbiani", " ".join("QWERTY" * 14))  # longer than 128 tokens
    write_corpus(tmp_path / "odd", tuple(type(one)((*one.turns, speech), one.id, one.episode) for one in scenes))
    odd = {"corpus": str(tmp_path / "odd"), "split": "all"}
    alone = compare(question(house, model=wide, against=wide, **odd))
    both = compare(question(house, model=wide, against=house / "gpt2", **odd))
    assert alone.ratio == (1.0, 1.0, 1.0)
    assert alone.ours.total.size - both.ours.total.size == 6 * len(speech.text)
    assert both.ours.total.size == both.theirs.total.size


def test_some_scenes_are_enough_for_a_first_look(house: Path) -> None:
    answer = compare(question(house, split="all", scenes=3))
    assert len(answer.ours.by_episode) == 3
    assert answer.title.endswith("in 3 episodes, 3 of 40 scenes drawn at random")
    assert compare(question(house, split="all", scenes=3, model=house / "llama")).ours.by_episode.keys() == (
        answer.ours.by_episode.keys()
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"split": "dev"}, "there is no split 'dev' to measure"),
        ({"split": "left-out"}, "there is no line of Joey Tribbiani to be measured in the left-out episodes of show"),
        ({"against": Path("/nowhere")}, "has no persona.json"),
        ({"corpus": "/nowhere/at-all"}, "there is no corpus folder"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(house: Path, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CompareError, match=complaint):
        compare(question(house, **change))


def test_damaged_weights_and_another_base_are_refused(house: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(house / "gpt2" / "model", broken)
    (broken / ADAPTER).write_bytes(b"not weights")
    with pytest.raises(CompareError, match="cannot be loaded"):
        compare(question(house, model=broken))
    card = json.loads((broken / "persona.json").read_text())
    card["base"]["sha256"] = "0" * 64
    (broken / "persona.json").write_text(json.dumps(card))
    with pytest.raises(CompareError, match="is another one by now"):
        compare(question(house, model=broken))


def test_a_full_checkpoint_needs_its_base_only_to_be_compared_with_it(house: Path, tmp_path: Path) -> None:
    moved = tmp_path / "full"
    shutil.copytree(house / "llama" / "model", moved)
    card = json.loads((moved / "persona.json").read_text())
    card["base"]["name"] = str(tmp_path / "gone")
    (moved / "persona.json").write_text(json.dumps(card))
    assert compare(question(house, model=moved, against=house / "llama", split="all")).ratio == (1.0, 1.0, 1.0)
    with pytest.raises(CompareError, match="there is no base"):
        compare(question(house, model=moved))


def test_the_command_says_whom_it_compared_with(house: Path, tmp_path: Path) -> None:
    file, model = tmp_path / "m.json", str(house / "gpt2")
    words = ["compare", "--model", model, "--corpus", str(house / "show"), "--split", "all", "--scenes", "2"]
    environment = {"CACHE_DIR": str(house / "cache"), "COLUMNS": "300"}
    done = CliRunner().invoke(app("compare"), [*words, "--against", model, "--json", str(file)], env=environment)
    assert done.exit_code == 0, done.stderr
    assert "show: 8 replies of Joey Tribbiani in 2 episodes, 2 of 40 scenes drawn at random" in done.stdout
    assert re.search(rf"│ {re.escape(model)} +│ +\d", done.stdout)
    assert "+0.0 % (+0.0 % to +0.0 %)" in done.stdout
    assert read_reading(file).to_mapping()["by_episode"] == json.loads(file.read_text())["against_by_episode"]
