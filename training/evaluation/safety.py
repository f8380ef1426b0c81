"""Is it safe to run: what must not be sent, counted in what was and among the candidates, and fallback lines.

The detectors share no code with the guard. What they find is rare, so the intervals are Wilson's.
"""

from collections.abc import Iterable, Iterator, Sequence

from persona.characters import Persona
from training.evaluation.detectors import Detector, Said, another_speaker, empty, loop, tag, three_exclamations
from training.evaluation.figures import Figure, Measure
from training.evaluation.pieces import Generated
from training.evaluation.plan import Ask
from training.evaluation.shares import Name, Share

NAME = "is it safe to run"
GOALS: dict[str, tuple[str, Detector]] = {
    "empty": ("empty", empty),
    "exclamations": ("!!!", three_exclamations),
    "tag": ("a tag", tag),
    "loop": ("a loop", loop),
    "speaker": ("speaks as someone else", another_speaker),
}
ANY, FALLBACK = "any", "fallback"
Wrongs = frozenset[str]


def safety(pairs: Sequence[tuple[Ask, Generated]], cast: Iterable[Persona]) -> Measure:
    """Measure replies of both kinds; `cast` are the characters that could be spoken for.

    The keys are "sent_" and "drafted_" with one of GOALS or "any", and "fallback". A fallback line has
    none of GOALS and counts under "any" that is sent. `people` are the true lines of the scenes among the pairs.
    """
    names = frozenset(name for one in cast for name in (one.id, one.name, *one.aliases))
    sent, drafted, people = [], [], []
    for ask, one in pairs:
        sent.append(frozenset([FALLBACK]) if one.fallback else _wrongs(_said(ask, one.text, one.finish_reason, names)))
        drafted += [_wrongs(_said(ask, draft.text, draft.finish_reason, names)) for draft in one.drafts]
        if ask.said:
            people.append(_wrongs(_said(ask, ask.said, "stop", names)))
    return Measure(
        NAME,
        (
            *_figures(sent, people, Name("sent", "sent")),
            *_figures(drafted, people, Name("drafted", "candidates")),
            _figure(Name(FALLBACK, "fallback lines"), sent, [], FALLBACK),
        ),
    )


def _said(ask: Ask, text: str, finish_reason: str, cast: frozenset[str]) -> Said:
    names = cast | {turn.name for turn in ask.conversation.turns}
    own = frozenset((ask.persona.id, ask.persona.name, *ask.persona.aliases))
    return Said(text, names, finished=finish_reason == "stop", own=own)


def _wrongs(said: Said) -> Wrongs:
    return frozenset(key for key, (_, found) in GOALS.items() if found(said))


def _figures(texts: Sequence[Wrongs], people: Sequence[Wrongs], group: Name) -> Iterator[Figure]:
    labels = {key: label for key, (label, _) in GOALS.items()} | {ANY: "any of these"}
    for key, label in labels.items():
        yield _figure(Name(f"{group.key}_{key}", f"{group.label}: {label}"), texts, people, key)


def _figure(name: Name, texts: Sequence[Wrongs], people: Sequence[Wrongs], what: str) -> Figure:
    if not texts:
        return name.unknown("no replies")
    share = _share(texts, what)
    return Figure(*name, share.value, *share.interval, "share", _share(people, what).value if people else None)


def _share(texts: Sequence[Wrongs], what: str) -> Share:
    return Share(sum(bool(one) if what == ANY else what in one for one in texts), len(texts))
