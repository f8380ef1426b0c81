"""What may leave the house: a reply-side filter for what a small model does when it slips.

It reads as tags, speaks for somebody else, says what its character is not, runs in circles, says again what was said,
recites the script, or calls people who were not asked. Whether a text copies the training lines and whether it
is offensive are predicates handed in.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from persona.characters import Persona, folded
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from persona.words import words_of

_LONGEST_LOOP, _TIMES = 8, 3
_AGAIN = ((3, 3), (4, 2))  # so many words, so many times
_REPEATED, _SHORTEST_OWN_LINE = 4, 2
_SHORTEST_QUESTION = 2
# Control tokens are looked for in the text without its spaces, markup in the text as it is.
_CONTROL = re.compile(
    r"<\||\|>|</?(?:s|unk|pad|bos|eos|sep|cls|mask)>|\[/?(?:inst|unk|pad|bos|eos|sep|cls|mask)\]|<</?sys>>"
    r"|im_(?:start|end)|(?:start|end)_of_turn|endoftext|\ufffd",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"</?[A-Za-z][^<>\n]*>|\[/?[A-Z][A-Z_ ]+\]|\{\{")
_PUNCTUATION_RUN = re.compile(r"([^\w\s]|_)(?:\s*\1){3}|[!?]{4}|!(?:\s*!){2}")
_BREAK = re.compile(r"""(?:\A|[\n\r]|[.!?…]["'”’)\]]*\s|(?<=\s)["“«(\[*_])\W*""")
# What opens a turn in the two screenplay formats: a name and a colon (not that of a smiley or a time), or a
# line that is nothing but a name.
_HEADING = re.compile(r"([^\n\r:]*?)(?:\s*:(?!\d|[-o^']?[()\[\]DPpOo3/\\|*]+(?!\w))|[ \t]*[\n\r])")
# Behind these a speaker's own name stands. "This is Monica" is left out: it presents somebody else as often.
_INTRODUCTION = re.compile(r"\b(?:[Ii][’']m|I am|[Mm]y name(?:[’']s| is)|[Tt]he name[’']s|[Cc]all me)\s+(?=\w)")
_ROLES = ("user", "assistant", "system", "human", "ai", "bot", "narrator", GUEST)
_PING = re.compile(
    r"@(?:everyone|here)|(?<![^\W_])@[^\W\d]|<(?:@[!&]?|\#)\d"  # a mail address has a word before its @
    r"|\w://|\bwww\.\w|(?<![\w'’])t\.me\b|\bdiscord\.gg\b|\b[\w-]+\.[a-z]{2,}/\w",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Guard:
    """Says which replies may not be said.

    `personas` are all that live in the checkpoint; `copied` says whether a text copies the
    training lines (`CopiedLines.copies`), None where nobody knows them.
    """

    personas: tuple[Persona, ...]
    copied: Callable[[str], bool] | None = None

    def refusal(
        self, reply: str, conversation: Scene, persona: Persona, offensive: Callable[[str], bool] | None = None
    ) -> str | None:
        """Return why `reply` may not be said by `persona` next in `conversation`, None where it may.

        The reason is one of "empty", "tag", "another speaker", "another's name", "loop", "punctuation", "ping",
        "untrue", "repeat", "copied" and "offensive", the first that holds.
        """
        plain = unicodedata.normalize("NFKC", reply)
        words, personas = words_of(reply), (persona, *self.personas)
        checks: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("empty", lambda: not any(char.isalnum() for char in plain)),
            ("tag", lambda: bool(_CONTROL.search("".join(plain.split())) or _MARKUP.search(plain))),
            ("another speaker", lambda: _speaks_for_somebody(plain, conversation, personas)),
            ("another's name", lambda: _introduces_somebody_else(plain, persona, self.personas)),
            ("loop", lambda: _runs_in_circles(words) or _says_it_again(words)),
            ("punctuation", lambda: bool(_PUNCTUATION_RUN.search(plain))),
            ("ping", lambda: bool(_PING.search(plain))),
            ("untrue", lambda: _says_what_is_untrue(words, persona)),
            ("repeat", lambda: _repeats(words, conversation, persona, personas)),
            ("copied", lambda: self.copied is not None and self.copied(reply)),
            ("offensive", lambda: offensive is not None and offensive(reply)),
        )
        return next((reason for reason, refused in checks if refused()), None)


def loops(text: str) -> bool:
    """Say whether one to eight words stand three or more times in a row in `text`."""
    return _runs_in_circles(words_of(text))


def _speaks_for_somebody(text: str, conversation: Scene, personas: Iterable[Persona]) -> bool:
    breaks = (found.end() for found in _BREAK.finditer(text))
    headings = {folded(found[1]) for found in (_HEADING.match(text, at) for at in breaks) if found} - {""}
    if not headings:
        return False
    known = {turn.name for turn in conversation.turns} | set(_ROLES) | _names(personas)
    return not headings.isdisjoint(map(folded, known))


def _introduces_somebody_else(text: str, persona: Persona, personas: Iterable[Persona]) -> bool:
    """Find "I'm Phoebe" from anybody else. Names must be spelled as theirs, or nobody could be happy beside Happy."""
    names = {name for one in personas for name in (one.name, *one.aliases) if not persona.answers_to(name)}
    claims = (text[found.end() :] for found in _INTRODUCTION.finditer(text))
    return any(
        claim.startswith(name) and not re.match(r"\w|[’']s\b|[ -][A-Z]", claim[len(name) :])
        for claim in claims
        for name in names
    )


def _says_what_is_untrue(words: Sequence[str], persona: Persona) -> bool:
    """Find a run of words that the persona says wrongly of itself; "I am" is "I'm"."""
    said = _contracted(words)
    return any(_stands_in(_contracted(words_of(one)), said) for one in persona.untrue)


def _contracted(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        if word == "am" and found[-1:] == ["i"]:
            found[-1] = "im"
        else:
            found.append(word)
    return found


def _names(personas: Iterable[Persona]) -> set[str]:
    return {name for one in personas for name in (one.id, one.name, *one.aliases)}


def _runs_in_circles(words: Sequence[str]) -> bool:
    for size in range(1, _LONGEST_LOOP + 1):
        run = 0
        for at in range(size, len(words)):
            run = run + 1 if words[at] == words[at - size] else 0
            if run == size * (_TIMES - 1):
                return True
    return False


def _says_it_again(words: Sequence[str]) -> bool:
    """Find three words in a row that stand three times in one reply, or four that stand twice, wherever they stand."""
    return any(
        max(Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1)).values(), default=0) >= times
        for size, times in _AGAIN
    )


def _repeats(words: Sequence[str], conversation: Scene, persona: Persona, personas: Iterable[Persona]) -> bool:
    """Find more than three words of one turn, or the persona's own whole line of two words and more.

    Who is spoken to may be called by name again and again: the personas' names are not counted. What is asked
    again may be answered again.
    """
    names = {word for name in _names(personas) for word in words_of(name)}
    said = set(_runs(words, names))
    answered = _answered_before(conversation.turns, persona, names)
    for at, turn in enumerate(conversation.turns):
        if at == answered:
            continue
        line = words_of(turn.text)
        if turn.name == persona.name and len(line) >= _SHORTEST_OWN_LINE and line == words:
            return True
        if said and any(run in said for run in _runs(line, names)):
            return True
    return False


def _answered_before(turns: Sequence[Turn], persona: Persona, names: Collection[str]) -> int | None:
    """Return the place of the persona's turn that answered what is asked once more at the end of `turns`.

    None where nothing is, or where it was answered twice already: who asks a third time gets something else.
    """
    if not turns or turns[-1].name == persona.name:
        return None
    asked = _without(words_of(turns[-1].text), names)
    again = False
    found = []
    for at, turn in enumerate(turns[:-1]):
        if turn.name != persona.name:
            again = _same_question(asked, _without(words_of(turn.text), names))
        elif again:
            found.append(at)
    return found[0] if len(found) == 1 else None


def _without(words: Iterable[str], names: Collection[str]) -> list[str]:
    return [word for word in words if word not in names]


def _same_question(one: Sequence[str], other: Sequence[str]) -> bool:
    """Say whether one stands whole in the other and is more than half of it: "hi, who are you?" is "who are you?"."""
    short, long = sorted((one, other), key=len)
    if len(short) < _SHORTEST_QUESTION or 2 * len(short) <= len(long):
        return False
    return _stands_in(short, long)


def _stands_in(run: Sequence[str], words: Sequence[str]) -> bool:
    """Say whether `run` stands word after word in `words`."""
    return bool(run) and any(words[at : at + len(run)] == run for at in range(len(words) - len(run) + 1))


def _runs(words: Sequence[str], names: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Yield every stretch that has four words which are no names, and ends with them."""
    places = [at for at, word in enumerate(words) if word not in names]
    for first, last in zip(places, places[_REPEATED - 1 :], strict=False):
        yield tuple(words[first : last + 1])
