"""The card survives a round trip and refuses what it does not understand."""

import json
from pathlib import Path
from typing import Any

import pytest

from persona.card import BaseCard, Card, CardError, read_card
from persona.characters import friends

CARD = Card(
    BaseCard("embedded", "ab" * 32, "some/repo", "Q4_1"), "chatml", "adapter", friends(),
    data=({"name": "friends", "sha256": "cd"},), split={"unit": "episode", "test": ["e1"]}, measures={"x": 1.5},
    ranking={"likelihood": 0.5, "information": 0.1, "persona_gain": 0.0, "commonness": 2.0},
)  # fmt: skip


def test_round_trip(tmp_path: Path) -> None:
    CARD.write(tmp_path)
    assert read_card(tmp_path) == CARD


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": 2}, "its version is 2"),
        ({"kind": "pickle"}, "neither 'adapter' nor 'full'"),
        ({"characters": []}, "names no character"),
        ({"characters": [{"id": "x"}]}, "needs the text field 'name'"),
        ({"base": {"name": "x"}}, "sha256"),
        ({"ranking": {"charm": 1}}, "unknown weight 'charm'"),
        ({"ranking": {"information": -1}}, "'information' must be a number from 0 up"),
        ({"ranking": None}, "must be a table"),
    ],
)
def test_a_card_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    CARD.write(tmp_path)
    content = json.loads((tmp_path / "persona.json").read_text())
    (tmp_path / "persona.json").write_text(json.dumps(content | change))
    with pytest.raises(CardError, match=complaint):
        read_card(tmp_path)


def test_a_card_from_before_there_was_a_ranking_is_read(tmp_path: Path) -> None:
    CARD.write(tmp_path)
    content = json.loads((tmp_path / "persona.json").read_text())
    del content["ranking"]
    (tmp_path / "persona.json").write_text(json.dumps(content))
    assert read_card(tmp_path).ranking == {}


def test_a_missing_or_damaged_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"has no persona\.json"):
        read_card(tmp_path)
    (tmp_path / "persona.json").write_text("{")
    with pytest.raises(CardError, match="damaged"):
        read_card(tmp_path)
    (tmp_path / "persona.json").write_text("[]")
    with pytest.raises(CardError, match="not a JSON object"):
        read_card(tmp_path)
