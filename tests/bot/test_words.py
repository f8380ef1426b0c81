"""What each level keeps back and what it lets pass. Slurs are read from the lists, not spelled out here."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetype

from bot.wordlist import HARMLESS, SLURS, SWEARING, THREATS
from bot.words import LEVELS, MEANING, LevelError, find_level, offensive

ROOT = Path(__file__).parents[2]
FRIENDS = ROOT.parent / "shared" / "corpora" / "friends-corpus" / "utterances.jsonl"
SIX = {"Joey Tribbiani", "Chandler Bing", "Monica Geller", "Phoebe Buffay", "Rachel Green", "Ross Geller"}


def said(level: str, text: str) -> bool:
    """Say whether a text may be said."""
    keeps_back = offensive(find_level(level))
    return keeps_back is None or not keeps_back(text)


def spelled(pattern: str) -> Iterator[str]:
    """Yield every phrase that has all the words of a pattern which must be there, and none that may."""
    needed = [word.strip("()").split("|") for word in pattern.split() if not word.endswith("?")]
    for words in itertools.product(*needed):
        yield " ".join(word.removesuffix("*") for word in words)


def library_slurs() -> list[str]:
    rules = safetype.load_pack("en")["rules"]
    return [phrase for rule in rules if rule.get("label") == "slur" for phrase in spelled(rule["pattern"])]


OURS = [phrase for pattern in SLURS for phrase in spelled(pattern)]
WORD = library_slurs()[1]  # six letters with o, a, e or i in them


def test_the_lists_are_read() -> None:
    assert len(library_slurs()) >= 6
    assert len(OURS) > 80
    assert len(WORD) == 6
    assert "o" in WORD
    assert "a" in WORD


@pytest.mark.parametrize("level", ["slurs", "strict"])
def test_every_slur_is_kept_back_in_a_sentence(level: str) -> None:
    sentences = [
        template.format(word) for word in (*OURS, *library_slurs()) for template in ("You {}.", "A {}, he says")
    ]
    assert [sentence for sentence in sentences if said(level, sentence)] == []
    assert all(said("off", sentence) for sentence in sentences)


def stretched(word: str) -> str:
    return word[:3] + word[2] * 5 + word[3:]


EVASIONS: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "plural": lambda word: word + "s",
    "digits for letters": lambda word: word.replace("o", "0").replace("a", "4"),
    "signs for letters": lambda word: word.replace("a", "@"),
    "spaced": " ".join,
    "spaced before a letter": lambda word: f"{' '.join(word)} I say",
    "dashed": "-".join,
    "dotted": ".".join,
    "stretched": stretched,
    "zero-width spaces": "\u200b".join,
    "joiners": "\u200d".join,
    "direction marks": "\u200e".join,
    "soft hyphens": "\u00ad".join,
    "full width": lambda word: "".join(chr(ord(char) + 0xFEE0) for char in word),
    "bold": lambda word: "".join(chr(ord(char) - ord("a") + 0x1D41A) for char in word),
    "Cyrillic": lambda word: word.replace("o", "\u043e").replace("a", "\u0430"),
    "Greek": lambda word: word.replace("o", "\u03bf").replace("a", "\u03b1"),
    "accents": lambda word: word.replace("o", "ö").replace("a", "á"),
    "combining marks": lambda word: word.replace("a", "a\u0301\u0323"),
    "quoted": lambda word: f'"{word}"',
    "mentioned": lambda word: f"the word {word}",
    "between signs": lambda word: f"**{word}**",
    "in a hashtag": lambda word: f"#{word}",
    "an asterisk": lambda word: word.replace("a", "*"),
}


@pytest.mark.parametrize("evasion", EVASIONS)
def test_an_evasion_does_not_help(evasion: str) -> None:
    written = EVASIONS[evasion](WORD)
    assert written != WORD
    assert not said("slurs", f"You are such a {written}, you know.")


@pytest.mark.parametrize(
    "text",
    [
        "I'll kill you",
        "I\u2019ll kill you!",
        "I WILL KILL YOU",
        "I'm gonna kill you, Ross.",
        "Im going to kill you",
        "I am so going to kill you",
        "I'm gonna fucking kill you",
        "imma stab u",
        "I swear I'd strangle you.",
        "I'm going to k1ll you",
        "We will kill your whole family.",
        "I'm going to hurt you",
        "I will shoot you.",
        "I'll break your legs.",
        "I'll slit your throat",
        "I am going to burn down your house",
        "I'm gonna shoot up the school tomorrow",
        "I'll make you suffer",
        "Kill yourself.",
        "Why don't you just go kill yourself?",
        "kys",
        "go die",
        "I hope you die",
        "I really hope that you die.",
        "I wish you would just die.",
        "I wish you were dead.",
        "You should die.",
        "you deserve to die",
        "I know where you live.",
        "You're a dead man!",
        "You're dead meat",
        "All immigrants should be exterminated.",
    ],
)
def test_a_threat_is_kept_back(text: str) -> None:
    assert not said("slurs", text)
    assert not said("strict", text)
    assert said("off", text)


PASSES = [
    "You're killing me!",
    "I could kill for a sandwich.",
    "I'd die for that cake.",
    "I'm dying here!",
    "I could tell you, but then I'd have to kill you.",
    "I'm sorry if I hurt you.",
    "I would never hurt you.",
    "If looks could kill!",
    "My mom is gonna kill me.",
    "You kill me, Chandler.",
    "I'm gonna kill the lights.",
    "I know where you work.",
    "I know where you can get a good sandwich.",
    "I hope you had a good day.",
    "You should dye your hair.",
    "I'll make you a sandwich.",
    "I'm gonna beat you at foosball!",
    "Dead man walking was a great movie.",
    "How you doin'?",
    "Shoot! I'll shoot some hoops with you.",
    "Woop woop!",
]
NAMES = [
    "My uncle Dick lives in Scunthorpe.",
    "Fanny Price, Dick Van Dyke and Randy Cockburn.",
    "The classic bass assassin in Essex and Sussex, assuming a cocktail in Penistone.",
    "Homo sapiens and Homo erectus, and homo-habilis too, it's in the museum.",
    "There's a chink in his armor.",
    "Raccoons in the cocoon, a tycoon in a spiced gookie jar.",
    "The shiitake was delicious, and the spicy one, too.",
    "A pussycat and a cockatoo.",
    "The Japanese like it in Japan. He moved to Pakistan from Niger and Nigeria and Montenegro.",
    "That's damning evidence.",
    "We went to a honky-tonk in Nashville.",
    "I asked the F.B.I. for a B.L.T., A.S.A.P. I-I-I mean it. A b c d e f g!",
]
SWEARS = [
    "Damn it!", "Oh, crap.", "Son of a bitch!", "That's bullshit.", "What the f*ck?", "You asshole.", "Holy sh1t",
    "Don't be such a prick.", "kiss my ass", "porn",
]  # fmt: skip


@pytest.mark.parametrize("text", [*PASSES, *NAMES])
def test_what_is_meant_well_passes_even_the_strictest(text: str) -> None:
    assert said("slurs", text)
    assert said("strict", text)


@pytest.mark.parametrize("text", SWEARS)
def test_swearing_is_kept_back_by_the_strictest_only(text: str) -> None:
    assert said("slurs", text)
    assert not said("strict", text)


@pytest.mark.parametrize("text", ["What the hell?", "You're so stupid!", "You suck.", "They had sex.", "Shut up!", ""])
def test_the_strictest_minds_swearing_not_manners(text: str) -> None:
    assert said("strict", text)


@pytest.mark.parametrize("pattern", [*THREATS, *SLURS])
def test_no_pattern_stands_in_vain(pattern: str) -> None:
    assert [phrase for phrase in spelled(pattern) if said("slurs", phrase)] == []


@pytest.mark.parametrize("pattern", SWEARING)
def test_no_swearing_stands_in_vain(pattern: str) -> None:
    assert [phrase for phrase in spelled(pattern) if said("strict", phrase)] == []
    assert all(said("slurs", phrase) for phrase in spelled(pattern))


EXCEPTIONS = [
    ("Dick van Dyke", "a dyke"),
    ("homo sapiens", "a homo"),
    ("a honky-tonk", "a honky"),
    ("a chink in the armor", "a chink in the door"),
    ("the Negro Leagues", "the negro"),
    ("here, pussy cat", "a pussy"),
    ("Woop woop", "a wop"),
    ("damning", "damn"),
]


@pytest.mark.parametrize(("meant_well", "not_so"), EXCEPTIONS)
def test_every_exception_is_needed(meant_well: str, not_so: str) -> None:
    assert sum(bool(re.search(pattern, meant_well, re.IGNORECASE)) for pattern in HARMLESS) == 1
    assert said("strict", meant_well)
    assert not said("strict", not_so)


def test_every_exception_has_an_example() -> None:
    assert len(EXCEPTIONS) == len(HARMLESS)


def test_an_exception_excuses_nothing_else_in_the_text() -> None:
    assert not said("slurs", f"Dick Van Dyke is a {WORD}.")
    assert not said("slurs", "Homo sapiens! I'll kill you.")


@pytest.mark.parametrize("wanted", ["strict", " Strict ", "STRICT"])
def test_a_level_is_found_in_any_case(wanted: str) -> None:
    assert find_level(wanted) == "strict"


@pytest.mark.parametrize("wanted", ["", "on", "strictly"])
def test_an_unknown_level_is_one_sentence(wanted: str) -> None:
    with pytest.raises(LevelError, match=f"there is no filter called '{wanted}'; choose one of off, slurs, strict"):
        find_level(wanted)


def test_every_level_is_explained() -> None:
    assert set(MEANING) == set(LEVELS)


def test_a_level_is_built_once() -> None:
    assert offensive("slurs") is offensive("slurs")
    assert offensive("off") is None


def test_the_library_is_not_loaded_before_it_is_needed() -> None:
    program = "import sys, bot.app\nprint('safetype' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"


@pytest.mark.skipif(not FRIENDS.exists(), reason="needs the transcripts")
def test_the_show_itself_is_hardly_ever_kept_back() -> None:
    with FRIENDS.open(encoding="utf-8") as file:
        lines = [one["text"] for one in map(json.loads, itertools.islice(file, 0, None, 20)) if one["speaker"] in SIX]
    assert len(lines) > 2000
    assert sum(not said("slurs", line) for line in lines) <= 0.002 * len(lines)
    assert sum(not said("strict", line) for line in lines) <= 0.02 * len(lines)
