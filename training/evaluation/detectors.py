"""What must not be sent, found independently of the guard: these share no code with it, only the definitions.

Each detector is written from the definition in its first line, by other means than the guard's where there are
others. Standard library only.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

LONGEST_UNIT, TIMES = 4, 3
SENTENCE_ENDS = ".!?…。！？"
CLOSING = "\"'”’»)]}*_~"
MARKERS = (
    "<|", "|>", "<<sys>>", "<</sys>>", "im_start", "im_end", "endoftext", "end_of_turn", "start_of_turn",
    "<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<sep>", "<cls>", "<mask>",
    "[inst]", "[/inst]", "[unk]", "[pad]", "[bos]", "[eos]", "[sep]", "[cls]", "[mask]",
)  # fmt: skip
ROLES = ("assistant", "system", "user", "human", "bot", "chatbot", "ai", "guest", "narrator")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,40}>|\[/?[A-Z][A-Z_ ]{2,20}\]|\{\{[^{}\n]{0,40}\}\}")

_SMILEY = re.compile(r":[-o^']?[()\[\]DPpOo3/\\|]+(?!\w)")


@dataclass(frozen=True, slots=True)
class Said:
    """A reply and what it takes to judge it.

    `names` are those of everybody who could be spoken for, the speaker too; `before` is what was said
    earlier in the conversation, by anybody; `finished` says whether the model ended it by itself. `own` are
    the speaker's names, empty where nobody knows them.
    """

    text: str
    names: frozenset[str] = frozenset()
    before: tuple[str, ...] = ()
    finished: bool = True
    own: frozenset[str] = frozenset()


def empty(said: Said) -> bool:
    """Find a reply without a single letter or digit of any script."""
    return not any(unicodedata.category(char)[0] in "LN" for char in said.text)


def loop(said: Said) -> bool:
    """Find one to four words that are said three or more times in a row, however they are punctuated."""
    words = _words(said.text)
    return any(
        words[at : at + size] * TIMES == words[at : at + size * TIMES]
        for size in range(1, LONGEST_UNIT + 1)
        for at in range(len(words) - size * TIMES + 1)
    )


def exclamations(said: Said) -> bool:
    """Find four exclamation marks in a row, in any width and with nothing but space between them."""
    return _marks(said.text) >= 4


def three_exclamations(said: Said) -> bool:
    """Find three exclamation marks in a row, as a model writes that has learned its padding."""
    return _marks(said.text) >= 3


def tag(said: Said) -> bool:
    """Find a control token, whole or broken by spaces, a <tag>, a [TAG] in capitals or a {{placeholder}}."""
    plain = unicodedata.normalize("NFKC", said.text)
    squeezed = "".join(plain.split()).casefold()
    return any(marker in squeezed for marker in MARKERS) or _TAG.search(plain) is not None


def another_speaker(said: Said) -> bool:
    """Find a name and a colon where a line or sentence begins, or a name alone on a line with more behind it.

    The speaker's own name counts, too: nobody says it in front of what he says. Where `own` is known, so does
    "I'm NAME" with any other's.
    """
    if said.own and not _claimed(_words(said.text)).isdisjoint(_strangers(said)):
        return True
    names = {_bare(name) for name in (*said.names, *ROLES)} - {""}
    lines = [line for line in unicodedata.normalize("NFKC", said.text).splitlines() if line.strip()]
    if any(_bare(line) in names for line in lines[:-1]):
        return True
    colons = ((line, at) for line in lines for at, char in enumerate(line) if char == ":")
    labels = (line[:at] for line, at in colons if not _SMILEY.match(line, at))
    return any(_ends_with_name(label, names) for label in labels)


def cut_off(said: Said) -> bool:
    """Find a reply that the model did not end and that stops within a sentence, or within a character."""
    open_end = not said.text.rstrip().rstrip(CLOSING).endswith(tuple(SENTENCE_ENDS))
    return "\ufffd" in said.text or (not said.finished and open_end)


def ping(said: Said) -> bool:
    """Find what makes a phone ring: @everyone, @here, @name, or a platform's <@number>."""
    for at, char in enumerate(said.text):
        before, behind = said.text[at - 1 : at], said.text[at + 1 :]
        if char == "@" and (
            behind.lower().startswith(("everyone", "here"))
            or (before == "<" and behind.lstrip("!&")[:1].isdigit())
            or (not before.isalnum() and (behind[:1].isalpha() or behind[:1] == "_"))
        ):
            return True
    return "tg://user" in said.text.lower()


def said_before(said: Said) -> bool:
    """Find more than three words that are, letter by letter, a whole earlier turn of this conversation."""
    return len(_words(said.text)) > 3 and _bare(said.text) in {_bare(turn) for turn in said.before}


def four_words_again(said: Said) -> bool:
    """Find four words in a row that stand in a row in an earlier turn of this conversation, too."""
    words, earlier = _words(said.text), [f" {normal(turn)} " for turn in said.before]
    runs = (f" {' '.join(words[at : at + 4])} " for at in range(len(words) - 3))
    return any(run in turn for run in runs for turn in earlier)


Detector = Callable[[Said], bool]
# Those that the goals name come first.
NEVER: dict[str, Detector] = {
    "loop": loop, "!!!!": exclamations, "tag": tag, "empty": empty, "another speaker": another_speaker,
}  # fmt: skip
WATCHED: dict[str, Detector] = {
    "!!!": three_exclamations, "cut off": cut_off, "ping": ping, "said before": said_before,
    "four words again": four_words_again,
}  # fmt: skip
DETECTORS = NEVER | WATCHED


def wrongs(said: Said) -> list[str]:
    """Return what is wrong with a reply, in the order of DETECTORS."""
    return [what for what, detects in DETECTORS.items() if detects(said)]


def count_words(text: str) -> int:
    """Return how many words a reply has."""
    return len(_words(text))


def normal(text: str) -> str:
    """Return what two replies have in common that a reader would call the same: their words."""
    return " ".join(_words(text))


def _words(text: str) -> list[str]:
    """Split at everything that is no letter, mark, digit or inner apostrophe."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    spaced = "".join(char if char == "'" or unicodedata.category(char)[0] in "LMN" else " " for char in plain)
    return [word for word in (part.strip("'") for part in spaced.split()) if word]


def _claimed(words: Sequence[str]) -> set[str]:
    """Return what follows where somebody says who he is: one word, two, and three."""
    claims = (" i'm", " i am", " my name is", " my name's", " the name's", " call me")
    ends = [at for at in range(len(words)) if f" {' '.join(words[: at + 1])}".endswith(claims)]
    return {" ".join(words[end + 1 : end + 1 + size]) for end in ends for size in (1, 2, 3)}


def _strangers(said: Said) -> set[str]:
    own = {normal(name) for name in said.own}
    return {normal(name) for name in said.names} - own


def _bare(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] in "LN")


def _marks(text: str) -> int:
    squeezed = "".join(unicodedata.normalize("NFKC", text).split())
    return max((len(list(run)) for mark, run in groupby(squeezed) if mark == "!"), default=0)


def _ends_with_name(label: str, names: Iterable[str]) -> bool:
    """Say whether a label's last words are a name that stands where a line or a sentence begins."""
    words = label.split()
    ends = ((words[:at], words[at], _bare(" ".join(words[at:]))) for at in range(max(0, len(words) - 4), len(words)))
    return any(end in names and _opens(before, first) for before, first, end in ends)


def _opens(before: Sequence[str], first: str) -> bool:
    """Say whether a sentence can begin behind the words `before`."""
    kept = [word.rstrip(CLOSING) for word in before if _bare(word) or word[-1] in SENTENCE_ENDS]
    return not kept or kept[-1].endswith(tuple(SENTENCE_ENDS)) or first[:1] in '"“«([*_'
