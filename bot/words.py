"""Which texts are offensive, by three levels; a chat chooses its own.

Matching is safetype's: words and phrases between word borders, through look-alike letters, digits
for letters, stretched words and spelled-out ones. Its English rules are joined by ours (`bot.wordlist`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from bot.wordlist import HARMLESS, SLURS, SWEARING, THREATS
from persona.harmless import harmless

if TYPE_CHECKING:
    from safetype import RuleDict

Level = Literal["off", "slurs", "strict"]
LEVELS: tuple[Level, ...] = get_args(Level)
DEFAULT_LEVEL: Level = "slurs"
MEANING: dict[Level, str] = {
    "off": "I may say anything",
    "slurs": "I say no slurs and make no threats",
    "strict": "I say no slurs, make no threats and don't swear",
}

_HARMLESS = re.compile("|".join(HARMLESS), re.IGNORECASE)
_SPELLED_OUT = re.compile(r"(?<!\w)\w(?:[ ._-]\w(?!\w)){2,}")
_NOTHING_IS_MASKED = "\N{FULL BLOCK}"  # else the library would skip what has an asterisk in it


class LevelError(ValueError):
    """A level that does not exist, in one sentence."""


def find_level(wanted: str) -> Level:
    """Return the level that is called `wanted`, in whatever case; raises LevelError naming all."""
    for level in LEVELS:
        if level == wanted.strip().casefold():
            return level
    raise LevelError(f"there is no filter called {wanted.strip()!r}; choose one of {', '.join(LEVELS)}")


@cache
def offensive(level: Level) -> Callable[[str], bool] | None:
    """Return what says whether a text may not be said at `level`, None where everything may.

    The first call for a level imports a library, some tens of milliseconds: keep it off the event loop.
    What is returned takes about a tenth of a millisecond for a line, and may be called by any thread.
    """
    if level == "off":
        return None
    from safetype import create_moderation_engine  # noqa: PLC0415 - the first prompt need not wait for it

    engine = create_moderation_engine(
        languages=["en"],
        rules=list(_own_rules(level)),
        policy={"profanity": {"min_severity": "low"}},
        mask_char=_NOTHING_IS_MASKED,
    )
    for rule in engine.get_rules():
        if not _holds(rule, level):
            engine.remove_rule(rule["id"])

    def is_offensive(text: str) -> bool:
        plain = _HARMLESS.sub(" ", harmless(text))
        return any(engine.moderate(one).matches for one in (plain, *_spelled_out(plain)))

    is_offensive("")  # builds the library's index
    return is_offensive


def _spelled_out(text: str) -> Iterator[str]:
    """Yield words spelled letter by letter, without an "a" or "I" before or behind: the library joins it, too."""
    for run in _SPELLED_OUT.findall(text):
        word = re.sub(r"[ ._-]", "", run)
        yield from (word[1:], word[:-1], word[1:-1])


def _own_rules(level: Level) -> Iterator["RuleDict"]:
    patterns = (*SLURS, *THREATS, *(SWEARING if level == "strict" else ()))
    for number, pattern in enumerate(patterns):
        yield {"id": f"own.{number}", "pattern": pattern, "category": "custom"}


def _holds(rule: Mapping[str, Any], level: Level) -> bool:
    """Say whether a rule belongs to `level`.

    What the library calls critical are slurs and calls to violence. Its rule for threats is left
    out: it takes "I'm sorry if I hurt you" for one.
    """
    if rule["category"] == "custom" or rule["severity"] == "critical" or rule.get("label") == "hostility":
        return True
    swearing = rule["category"] == "profanity" or (rule["category"] == "sexual" and rule["severity"] != "low")
    return level == "strict" and swearing
