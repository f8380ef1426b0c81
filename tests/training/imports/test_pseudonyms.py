"""Fictional names in front of lines and inside them, and nothing that leads to anybody."""

import time

import pytest

from persona.characters import folded
from training.imports.contacts import without_contacts
from training.imports.pseudonyms import Pseudonyms
from training.samples import STRANGERS

NAMES = {
    "1": ["ann_s", "Ann Smith 🌻"], "2": ["Bo van Dyke"], "3": ["Will"], "4": ["+49 170 1234567"], "5": ["王小明"],
    "6": ["Ann-Marie O'Neil"], "7": ["the"], "8": ["J"], "9": ["Ö"], "10": ["Ann Jones"], "11": [],
}  # fmt: skip


@pytest.fixture
def pseudonyms() -> Pseudonyms:
    return Pseudonyms(NAMES)


@pytest.mark.parametrize(
    ("text", "disguised"),
    [
        ("Ann Smith, ann smith and ANN SMITH", "Avery, Avery and Avery"),
        ("hey ann, is it Ann's soup?", "hey Avery, is it Avery's soup?"),
        ("@ann_s @Ann Smith @Smith", "@Avery @Avery @Avery"),
        ("Annual banner, Anna and smithy", "Annual banner, Anna and smithy"),
        ("Bo Van Dyke in the van with Dyke", "Blake in the van with Blake"),
        ("Bo or bo?", "Blake or bo?"),
        ("will you ask Will? I will.", "will you ask Casey? I will."),
        ("@491701234567 is +49 170 1234567", "@Devon is 555-0100"),
        ("你好王小明吃了吗", "你好Emery吃了吗"),
        ("Ann-Marie O’Neil and ann marie o neil", "Finley and Finley"),
        ("the soup, J and Ö", "the soup, J and Ö"),
        ("Jones is an Ann, too", "Jordan is an Avery, too"),
        ("Ann:\nSmith", "Avery"),
        ("Ann said: Smith", "Avery said: Avery"),
        ("@nobody_here @everyone @here @Avery", "@someone @everyone @here @Avery"),
        (
            "mail ann.smith@soup.example, or https://soup.example/ann",
            "mail someone@example.com, or https://example.com",
        ),
    ],
)
def test_names_are_replaced_where_they_stand_as_words(pseudonyms: Pseudonyms, text: str, disguised: str) -> None:
    assert pseudonyms.disguised(text) == disguised


ELSEWHERE = {
    "1": ["राहुल"], "2": ["प्रिया शर्मा"], "3": ["José"], "4": ["Zoe\u0308 Q"], "5": ["田中 太郎"], "6": ["김 민수"],
    "7": ["สมชาย ใจดี"], "8": ["Bo ❤️"], "9": ["Jean-Luc Roy"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "disguised"),
    [
        ("राहुल आज आएगा", "Avery आज आएगा"),
        ("प्रिया शर्मा और प्रिया", "Blake और Blake"),
        ("Jose\u0301 ven, José", "Casey ven, Casey"),
        ("Zo\u00eb and Zoe\u0308", "Devon and Devon"),
        ("田中さんと太郎", "EmeryさんとEmery"),
        ("민수야, 김 민수", "Finley야, Finley"),
        ("สมชายไปไหน", "Grayไปไหน"),
        ("Bo loves soup ❤️", "Harper loves soup ❤️"),
        ("@jean-luc and @anne-marie", "@someone and @someone"),
    ],
)
def test_names_of_other_scripts_are_found(text: str, disguised: str) -> None:
    assert Pseudonyms(ELSEWHERE).disguised(text) == disguised


def test_what_many_are_called_is_no_name() -> None:
    pseudonyms = Pseudonyms({"1": ["田中 さん"], "2": ["민수 엄마"]})
    assert pseudonyms.disguised("山田さんと田中さん") == "山田さんとAveryさん"
    assert pseudonyms.disguised("엄마 왔어, 민수야") == "엄마 왔어, Blake야"


def test_the_names_are_fictional_different_and_the_same_every_time(pseudonyms: Pseudonyms) -> None:
    assert list(pseudonyms.of) == list(NAMES)
    assert len(set(pseudonyms.of.values())) == len(NAMES)
    assert Pseudonyms(dict(list(NAMES.items())[:4])).of == dict(list(pseudonyms.of.items())[:4])
    many = Pseudonyms({str(number): [f"Person{number}"] for number in range(1000)}).of
    assert len(set(many.values())) == 1000
    assert many["0"] == "Avery"
    assert not {folded(name) for name in many.values()} & {folded(name) for name in STRANGERS}


def test_nobody_gets_a_name_that_somebody_has() -> None:
    assert Pseudonyms({"1": ["Blake Avery"], "2": ["casey"]}).of == {"1": "Devon", "2": "Emery"}
    taken = {name: [name] for name in Pseudonyms({str(number): [] for number in range(24)}).of.values()}
    assert Pseudonyms(taken | {"0": ["x"]}).of["0"] == "Person Field 3"


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("See https://a.example/b?c=d, or (http://e.example).", "See https://example.com, or (https://example.com)."),
        ("www.soup.example soup.com/leek SOUP.COM t.me/ann", " ".join(["https://example.com"] * 4)),
        ("I like it.Do you? e.g. this, 3.5 and and/or", "I like it.Do you? e.g. this, 3.5 and and/or"),
        ("a.b+c@d.example.org mailto:a@b.example", "someone@example.com https://example.com"),
        ("call +1 (555) 123-4567 or 0170/1234567", "call 555-0100 or 555-0100"),
        ("DE89 3704 0044 0532 0130 00, DE89370400440532013000", "DE555-0100, DE555-0100"),
        ("at 21:15 for 123456 people on 31.12.", "at 21:15 for 123456 people on 31.12."),
        ("1 2 3 4 5 6", "1 2 3 4 5 6"),
        ("", ""),
    ],
)  # fmt: skip
def test_links_addresses_and_long_numbers(text: str, without: str) -> None:
    assert without_contacts(text) == without
    assert without_contacts(without) in (without, without.replace("DE555-0100", "DE555-0100"))


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "a." * 100_000, "a-" * 100_000, "1 2" * 70_000, "@" * 200_000, "ann " * 50_000]
)
def test_a_text_without_end_takes_no_time_without_end(pseudonyms: Pseudonyms, text: str) -> None:
    began = time.monotonic()
    pseudonyms.disguised(text)
    assert time.monotonic() - began < 10
