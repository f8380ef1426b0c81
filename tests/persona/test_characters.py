"""Personas: the six in TOML, and anybody else without code."""

from pathlib import Path

import pytest

from persona.characters import Persona, PersonaError, find_persona, friends, parse_personas, read_personas


def test_the_six_friends_are_complete() -> None:
    assert [one.id for one in friends()] == ["joey", "chandler", "monica", "phoebe", "rachel", "ross"]
    for one in friends():
        assert one.premise
        assert one.greeting
        assert len(one.fallbacks) >= 2


@pytest.mark.parametrize("wanted", ["joey", "JOEY", "Joey Tribbiani", "joey-tribbiani", " Joey "])
def test_a_persona_is_found_however_it_is_spelled(wanted: str) -> None:
    assert find_persona(wanted, friends()).id == "joey"


def test_an_unknown_persona_is_refused_with_the_list() -> None:
    with pytest.raises(PersonaError, match=r"'Gunther'; choose one of joey, chandler, monica, phoebe, rachel, ross"):
        find_persona("Gunther", friends())


def test_a_persona_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[character]]\nid = "gunther"\nname = "Gunther"\nfallbacks = ["Coffee?"]\n', encoding="utf-8")
    assert read_personas(file) == (Persona("gunther", "Gunther", fallbacks=("Coffee?",)),)
    assert Persona.from_speaker("Paul the Wine Guy").id == "paul-the-wine-guy"
    assert Persona.from_mapping(friends()[0].to_mapping()) == friends()[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no toml", "not TOML"),
        ("", "no .*character.* table"),
        ("character = [1]", "must be a table of named fields"),
        ('[[character]]\nid = "a"', "needs the text field 'name'"),
        ('[[character]]\nid = "a"\nname = "A"\nvoice = "x"', "unknown field 'voice'"),
        ('[[character]]\nid = "a"\nname = "A"\nfallbacks = []', "at least one line"),
        ('[[character]]\nid = "a"\nname = "A"\naliases = [1]', "list of texts"),
        ('[[character]]\nid = "a"\nname = "A"\nuntrue = "my wife"', "'untrue' must be a list of texts"),
        ('[[character]]\nid = "a"\nname = "A"\n[[character]]\nid = "a"\nname = "B"', "same id"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(PersonaError, match=complaint):
        parse_personas(text, "mine.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PersonaError, match=r"cannot read the persona file .*none\.toml"):
        read_personas(tmp_path / "none.toml")
