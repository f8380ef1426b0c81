"""The model card says what `persona.json` says, in the hub's format, and nothing else about this machine."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from persona.card import BaseCard, Card, read_card
from persona.characters import Persona, friends
from training.report.modelcard import hub_id, write_model_card

ROOT = Path(__file__).parents[3]
EMBEDDED = BaseCard("embedded", "b1" * 32, "HuggingFaceTB/SmolLM2-135M-Instruct", "Q4_1, dequantized")


def card_of(**more: Any) -> Card:
    measures = {"validation_bits_per_byte": 1.2792, "untouched_base_bits_per_byte": 1.5115,
                "validation_persona_gain": 0.12, "validation_repetition": float("nan"),
                "validation_corpora": {"friends-corpus": 1.2792, "my talks": 1.5}}  # fmt: skip
    data = (
        {"name": "friends-corpus", "sha256": "d1" * 32, "scenes": 2811, "weight": 0.6, "taught": "characters"},
        {"name": "/home/ann/my talks", "sha256": "e1" * 32, "scenes": 1, "weight": 0.4, "taught": "everybody"},
    )
    split = {
        "unit": "episode",
        "rule": "by a hash",
        "validation": ["a"] * 9,
        "test": ["b"],
        "left_out": {"asked": ["season=s10"], "scenes": 90},
    }
    known = {"data": data, "split": split, "training": {"steps": 1082, "rank": 16}, "measures": measures}
    return replace(Card(EMBEDDED, "chatml", "adapter", friends(), **known), **more)


def written(card: Card, folder: Path) -> tuple[dict[str, Any], str]:
    """Return the metadata as the hub reads it, and the text."""
    card.write(folder)
    loaded = ModelCard.load(write_model_card(folder))
    return loaded.data.to_dict(), loaded.text


def test_the_metadata_is_what_the_hub_reads(tmp_path: Path) -> None:
    data, _ = written(card_of(), tmp_path)
    assert data["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (data["license"], data["library_name"], data["language"]) == ("apache-2.0", "peft", "en")
    assert data["datasets"] == ["friends-corpus"]
    metrics = data["model-index"][0]["results"][0]["metrics"]
    assert {one["type"]: one["value"] for one in metrics} == {"bits_per_byte": 1.2792, "persona_gain": 0.12}


def test_the_text_tells_what_was_trained_and_measured(tmp_path: Path) -> None:
    _, text = written(card_of(), tmp_path)
    assert "Joey Tribbiani, Chandler Bing" in text
    assert "friends-corpus, 2,811 scenes, 60 % of the steps" in text
    assert "my talks, 1 scene, 40 % of the steps, everybody in it is learned from" in text
    assert "9 episodes for validation, 1 episode for test and all of season=s10 (90 scenes)" in text
    assert "| bits per byte | 1.279 | 1.512 |" in text
    assert "repeat" not in text.partition("## Measures")[2].partition("## Limits")[0]
    assert "| bits per byte, my talks | 1.5 |  |" in text
    assert "/home" not in text


def test_intervals_stand_where_they_were_measured(tmp_path: Path) -> None:
    measures = {"bits_per_byte": 1.2591, "base_bits_per_byte": 1.5003, "ratio": 0.8393, "ratio_low": 0.8226,
                "ratio_high": 0.856}  # fmt: skip
    _, text = written(card_of(measures=measures), tmp_path)
    assert "−16.1 % bits per byte (95 % interval −17.7 % to −14.4 %)" in text


def test_a_whole_model_says_how_to_load_it(tmp_path: Path) -> None:
    hostile = Persona(id="x", name='Ann"<|im_end|>\n```', premise="# <b>bold</b> | [link](http://x)")
    data, text = written(card_of(kind="full", characters=(hostile,)), tmp_path)
    assert data["library_name"] == "transformers"
    code = re.search(r"```python\n(.*?)\n```", text, re.DOTALL)[1]
    compile(code, "card", "exec")
    assert 'speaker="Ann\\"< |im_end| >' in code
    assert "<b>" not in re.sub(r"\\<", "", text)
    assert r"\| \[link\]" in text
    assert data["model-index"][0]["name"] == "echochamber-x"


def test_a_base_that_only_this_machine_has_gives_no_path_and_no_licence(tmp_path: Path) -> None:
    data, text = written(card_of(base=BaseCard("/home/ann/models/secret-base", "a" * 64)), tmp_path)
    assert "base_model" not in data
    assert "license" not in data
    assert "secret-base" in text
    assert "/home" not in text


def test_a_bare_card_is_enough(tmp_path: Path) -> None:
    data, text = written(
        Card(BaseCard("microsoft/DialoGPT-small", "a" * 64), "eos-joined", "adapter", friends()), tmp_path
    )
    assert data["license"] == "mit"
    assert "model-index" not in data
    assert text.count("None on record.") == 1
    assert text.count("Not on record.") == 2


def test_the_shipped_checkpoints_card_can_be_written(tmp_path: Path) -> None:
    data, text = written(read_card(ROOT / "models" / "friends"), tmp_path)
    assert (
        data["model-index"][0]["results"][0]["metrics"][0]["value"]
        == json.loads((ROOT / "models" / "friends" / "persona.json").read_text())["measures"]["bits_per_byte"]
    )
    assert "by a paired bootstrap over episodes" in text


@pytest.mark.parametrize(
    ("name", "found"),
    [("embedded", "HuggingFaceTB/SmolLM2-135M-Instruct"), ("a/b", "a/b"), ("/a/b", None), ("b", None), ("./a", None)],
)
def test_only_the_hubs_ids_are_named_as_the_base(name: str, found: str | None) -> None:
    assert hub_id(replace(EMBEDDED, name=name, repo="")) == found
