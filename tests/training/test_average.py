"""The mean of adapters: their weights' mean, a card that names them all, and sentences for what has none."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from bot.engine.checkpoints import ADAPTER, load_checkpoint
from echochamber.cli import app
from persona.card import read_card
from persona.characters import friends
from persona.copied import CopiedLines
from tests.toys import toy_gpt2, toy_llama
from tests.training.test_publish import adapter_for
from training.average import Average, AverageError, average
from training.judged import learned_judged

DATA = ({"name": "toy", "sha256": "aa", "split": {"validation": ["e1"]}},)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return two adapters of one base, the second one's weights three times the first one's."""
    first = adapter_for(toy_gpt2(tmp_path / "gpt2"), tmp_path, data=DATA, ranking={"likelihood": 1})
    second = tmp_path / "second"
    shutil.copytree(first, second)
    weights = load_file(first / ADAPTER)
    save_file({key: 3 * one for key, one in weights.items()}, second / ADAPTER, {"format": "pt"})
    change(second, data=(*DATA, {"name": "more", "sha256": "bb"}), training={"steps": 7}, ranking={"persona_gain": 2})
    return first, second


def change(folder: Path, **card: Any) -> None:
    replace(read_card(folder), **card).write(folder)


def test_weights_are_the_mean_and_b_alone_takes_the_strength(pair: tuple[Path, Path], tmp_path: Path) -> None:
    one = load_file(pair[0] / ADAPTER)
    plain = load_file(average(Average(pair, tmp_path / "plain")) / ADAPTER)
    weak = load_file(average(Average(pair, tmp_path / "weak", (3, 1), strength=0.5)) / ADAPTER)
    assert plain.keys() == weak.keys() == one.keys()
    for key, each in one.items():
        assert plain[key].dtype is each.dtype
        torch.testing.assert_close(plain[key], 2 * each)
        torch.testing.assert_close(weak[key], (0.75 if "lora_B" in key else 1.5) * each, rtol=0.01, atol=1e-3)


def test_it_loads_and_its_card_says_what_it_is_made_of(pair: tuple[Path, Path], tmp_path: Path) -> None:
    change(pair[1], training={"steps": 7, "judged": "cd"})
    made = average(Average(pair, tmp_path / "made", (3, 1)))
    load_checkpoint(made, cache=tmp_path / "cache", device="cpu")
    card = read_card(made)
    assert [one["share"] for one in card.training["averaged"]] == [0.75, 0.25]
    assert card.training["averaged"][1]["steps"] == 7
    assert [one["name"] for one in card.data] == ["toy", "more"]
    assert card.ranking == {"persona_gain": 2}
    assert not card.measures, "what was measured belongs to each alone"
    assert learned_judged(card) == {"cd"}
    assert "- 75 % of the average: the adapter" in (made / "README.md").read_text()
    assert str(tmp_path) not in (made / "README.md").read_text()


def test_it_copies_from_what_each_has_read(pair: tuple[Path, Path], tmp_path: Path) -> None:
    lines = [" ".join(f"{name}{number}" for number in range(9)) for name in ("one", "two", "neither")]
    CopiedLines.of(lines[:1]).write(pair[0])
    assert CopiedLines.read(average(Average(pair, tmp_path / "half-known"))) is None
    CopiedLines.of(lines[1:2]).write(pair[1])
    known = CopiedLines.read(average(Average(pair, tmp_path / "known")))
    assert known is not None
    assert [known.copies(line) for line in lines] == [True, True, False]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": "full"}, "only adapters are averaged"),
        ({"characters": friends()[:2]}, "differ in their characters"),
        ({"format": "chatml"}, "differ in their format"),
        ({"data": ({"name": "toy", "sha256": "aa", "split": {"validation": ["e2"]}},)}, "held-out episodes"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    pair: tuple[Path, Path], tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    change(pair[1], **changes)
    with pytest.raises(AverageError, match=complaint):
        average(Average(pair, tmp_path / "made"))
    assert not (tmp_path / "made").exists()


def test_adapters_of_two_bases_have_no_mean(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = adapter_for(toy_llama(tmp_path / "llama"), tmp_path / "other")
    with pytest.raises(AverageError, match="differ in their base"):
        average(Average((pair[0], other), tmp_path / "made"))


def test_other_shapes_and_damaged_files_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    weights = load_file(pair[1] / ADAPTER)
    save_file({key: one[:1] for key, one in weights.items()}, pair[1] / ADAPTER)
    with pytest.raises(AverageError, match="differ in their shapes or LoRA settings"):
        average(Average(pair, tmp_path / "made"))
    save_file(weights, pair[1] / ADAPTER)
    config = json.loads((pair[1] / "adapter_config.json").read_text())
    (pair[1] / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 3}))
    with pytest.raises(AverageError, match="differ in their shapes or LoRA settings"):
        average(Average(pair, tmp_path / "made"))
    (pair[1] / ADAPTER).write_bytes(b"nothing")
    with pytest.raises(AverageError, match="incomplete or damaged"):
        average(Average(pair, tmp_path / "made"))
    (pair[1] / ADAPTER).unlink()
    with pytest.raises(AverageError, match="incomplete or damaged"):
        average(Average(pair, tmp_path / "made"))
    (pair[1] / "persona.json").write_text(json.dumps({}))
    with pytest.raises(AverageError, match="not a card"):
        average(Average(pair, tmp_path / "made"))
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith((".averaging", "made"))] == []


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ((1.0,), "2 adapters and 1 weights"),
        ((0, 0), "not all of them 0"),
        ((-1, 2), "from 0"),
        ((float("nan"), 1), "from 0"),
    ],
)
def test_weights_are_one_for_each(pair: tuple[Path, Path], tmp_path: Path, weights: Any, complaint: str) -> None:
    with pytest.raises(AverageError, match=complaint):
        average(Average(pair, tmp_path / "made", weights))


def test_one_alone_has_no_mean_and_nothing_is_overwritten(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(AverageError, match="takes two"):
        average(Average(pair[:1], tmp_path / "made"))
    with pytest.raises(AverageError, match="exists already"):
        average(Average(pair, pair[0]))
    for strength in (float("nan"), -1, 3):
        with pytest.raises(AverageError, match="from 0 to 2"):
            average(Average(pair, tmp_path / "made", strength=strength))


def test_by_hand(pair: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["average", "--model", str(pair[0]), "--model", str(pair[1]), "--out", str(tmp_path / "made")]
    done = CliRunner().invoke(app("average"), [*words, "--weight", "2", "--weight", "1", "--strength", "0.5"])
    assert (done.exit_code, done.stdout.strip()) == (0, str(tmp_path / "made")), done.stderr
    assert read_card(tmp_path / "made").training["strength"] == 0.5
    again = CliRunner().invoke(app("average"), words)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "exists already" in again.stderr
