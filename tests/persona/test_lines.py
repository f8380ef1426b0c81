"""The corpus-side filter."""

import pytest

from persona.dialogue import Scene, Turn
from persona.lines import merge_runs, spoken, teaches


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("(to Ann) Hello.", "Hello."),
        ("Well [Time Lapse] then (he sits (slowly) down) yes.", "Well then yes."),
        ("{sighs}", ""),
        ("an open ( bracket stays", "an open ( bracket stays"),
    ],
)
def test_action_notes_are_cut(text: str, kept: str) -> None:
    assert spoken(text) == kept


def test_runs_of_one_speaker_are_merged_and_silence_dropped() -> None:
    scene = Scene((Turn("A", "one"), Turn("B", ""), Turn("A", "two"), Turn("B", "three")), "id", "e1")
    assert merge_runs(scene) == Scene((Turn("A", "one two"), Turn("B", "three")), "id", "e1")


def test_what_teaches() -> None:
    assert teaches(Turn("A", "Yes."), {"A"})
    assert not teaches(Turn("B", "Yes."), {"A"})
    assert not teaches(Turn("A", "..."), {"A"})
    assert not teaches(Turn("A", "no no no no!"), {"A"})
    assert teaches(Turn("A", "No, no, no."), {"A"})
