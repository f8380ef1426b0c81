"""What people read: the instructions for readers, the tables, and every reply with its verdicts."""

import re
from collections.abc import Sequence

from bench.strangers.sheet import SHEET
from bench.strangers.tally import QUESTIONS, Place, Tally
from bench.strangers.verdicts import ENOUGH, READERS
from training.evaluation.intervals import Interval
from training.evaluation.strangers import read_rubric

_INSTRUCTIONS = """\
# Judging replies to a stranger
{sheet} has one JSON object a line: `prompt` is what a stranger wrote as the first message of a conversation
(where it has several lines, all that was said so far, the stranger's message last), `character` who is to answer,
one of the six of *Friends*, and `reply` what was answered. Judge each reply by itself.
Who or what wrote it is not yours to know: look at no other file, and ask nobody.

{rubric}

The two are judged apart: a reply can be sensible and out of character, or in character and beside the point. There is
no third answer: where you are in doubt, decide.

## What you write
A file of your own with one JSON object a line, for every `id` of the sheet exactly once, in any order:

```
{{"id": "{id}", "sensible": true, "in_character": false}}
```

`sensible` and `in_character` are `true` or `false`; anything else in the object is ignored.
"""


def instructions(example_id: str) -> str:
    """Return what a reader needs to know."""
    rubric = "\n".join(f"- {line}" for line in read_rubric())
    return _INSTRUCTIONS.format(sheet=f"`{SHEET}` (or a part of it)", rubric=rubric, id=example_id)


def figures(found: Tally) -> str:
    """Return all figures as tables in Markdown."""
    last = found.origins[-1]
    compared = [f"times {plain(last)}'s share"] if len(found.origins) > 1 else []
    heads = ["", "counts", "share", *compared, "sensible", "in character", "fallback lines"]
    shown = sum(bool(one.judged.verdicts) for one in found.places)
    kappas = ", ".join(f"{question} {_number(found.kappa(question))}" for question in QUESTIONS)
    kinds = [[kind, *(_of(found.count(one, kind=kind)) for one in found.origins)] for kind in found.kinds]
    return (
        f"{_table(heads, [_row(found, origin) for origin in found.origins])}\n"
        f"A reply counts where at least {ENOUGH} of {READERS} readers find it both sensible and in character; each of "
        "the two alone\nlikewise. A fallback line fails. Intervals: 95 %, by bootstrap over prompts or chats.\n\n"
        f"Fleiss' kappa between the readers, over the {shown} replies that they saw: {kappas}.\n\n"
        f"{_table(['counts, by kind of prompt', *map(plain, found.origins)], kinds)}"
    )


def replies(found: Tally) -> str:
    """Return every reply with its verdicts, by prompt."""
    parts = [
        f"What the {READERS} readers say stands in their order, + for yes and − for no; ✓ marks a reply that counts.\n"
    ]
    for number, ask in enumerate(found.asks, start=1):
        places = [one for origin in found.origins for one in found.of(origin) if one.prompt == ask.episode]
        parts.append(
            f"**{number}. {places[0].kind}, to {plain(ask.persona.name)}:** {plain(ask.message)}\n\n"
            f"{_table(['', 'reply', 'sensible', 'in character', 'counts'], list(map(_told, places)), right=False)}"
        )
    return "\n".join(parts)


def plain(text: str) -> str:
    """Return text as one line in which nothing is Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|&~#])", r"\\\1", " ".join(text.split()))


def _row(found: Tally, origin: str) -> list[str]:
    ratios = ["" if origin == found.origins[-1] else _interval(found.ratio(origin))] if len(found.origins) > 1 else []
    return [
        plain(origin),
        _of(found.count(origin)),
        _interval(found.share(origin), percent=True),
        *ratios,
        *(str(found.count(origin, question)[0]) for question in ("sensible", "in character")),
        str(found.fallbacks(origin)),
    ]


def _told(place: Place) -> list[str]:
    verdicts = place.judged.verdicts
    marks = ["".join("+" if answer else "−" for answer in answers) for answers in zip(*verdicts, strict=True)]
    said = [plain(place.text), *marks] if verdicts else ["*a fallback line*", "", ""]
    return [plain(place.origin), *said, "✓" if place.judged.counts else ""]


def _interval(found: Interval, *, percent: bool = False) -> str:
    if found.value is None:
        return "–"
    value, *ends = (f"{100 * one:.1f}" if percent else f"{one:.2f}" for one in found if one is not None)
    return f"{value}{' %' if percent else ''}{f' ({ends[0]} to {ends[1]})' if ends else ''}"


def _of(counted: tuple[int, int]) -> str:
    return f"{counted[0]} of {counted[1]}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: bool = True) -> str:
    cells = [heads, ["---", *("--:" if right else "---" for _ in heads[1:])], *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)
