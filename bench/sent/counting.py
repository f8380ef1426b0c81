"""What was sent, counted: each detector's hits, the guard's refusals, variety and time, with 95 % intervals."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.sent.ledger import Draft, Sent
from persona.characters import Persona
from training.evaluation.detectors import DETECTORS, NEVER, Said, count_words, normal, wrongs
from training.evaluation.shares import Share

ANY = "any of these"
SHORT = 3


@dataclass(frozen=True, slots=True)
class Slip:
    """A text with something wrong in it; `refusal` is the guard's reason where it was refused."""

    talk: int
    persona: str
    wrong: tuple[str, ...]
    text: str
    refusal: str | None = None


@dataclass(slots=True)
class Count:
    """Texts of one sort: how many there are, and those in which a detector found something."""

    texts: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    slips: list[Slip] = field(default_factory=list)

    def add(self, slip: Slip) -> None:
        """Count a text."""
        self.texts += 1
        self.hits.update(slip.wrong)
        self.hits[ANY] += any(one in NEVER for one in slip.wrong)
        if slip.wrong:
            self.slips.append(slip)

    def share(self, what: str) -> Share:
        """Return the share of texts with that in them."""
        return Share(self.hits[what], self.texts)


@dataclass(slots=True)
class Counted:
    """Everything that the report says."""

    strangers: Count
    characters: Count
    drafts: Count
    kinds: Counter[str]
    refusals: Counter[str]
    endings: Counter[str]
    texts: list[str]
    words: list[int]
    seconds: list[float]
    steps: dict[str, list[float]]
    asked: dict[str, Count]
    busy: int = 0

    @property
    def sent(self) -> int:
        """Return how many replies were sent."""
        return self.strangers.texts + self.characters.texts

    @property
    def fallbacks(self) -> Share:
        """Return the share of fallback lines."""
        return Share(self.kinds["fallback"], self.sent)

    @property
    def short(self) -> Share:
        """Return the share of replies of three words or fewer."""
        return Share(sum(one <= SHORT for one in self.words), len(self.words))

    @property
    def distinct(self) -> Share:
        """Return the share of replies that are no other's words again."""
        return Share(len(set(self.texts)), len(self.texts))

    @property
    def most_frequent(self) -> tuple[str, Share]:
        """Return the words said most often as a whole reply."""
        [(text, times)] = Counter(self.texts).most_common(1) or [("", 0)]
        return text, Share(times, len(self.texts))

    def let_through(self) -> list[Slip]:
        """Return the candidates that the guard passed although the goals forbid what is in them."""
        return [one for one in self.drafts.slips if one.refusal is None and set(one.wrong) & set(NEVER)]

    def to_mapping(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        groups = {"to strangers": self.strangers, "among themselves": self.characters, "candidates": self.drafts}
        what = (ANY, *DETECTORS)
        text, often = self.most_frequent
        return {
            "texts": {name: one.texts for name, one in groups.items()},
            "found": {name: {one: count.hits[one] for one in what} for name, count in groups.items()},
            "candidates": {kind: [one.hits[ANY], one.texts] for kind, one in self.asked.items()},
            "let_through": len(self.let_through()),
            "kinds": dict(self.kinds), "refusals": dict(self.refusals), "endings": dict(self.endings),
            "distinct": self.distinct.hits, "short": self.short.hits, "of": len(self.texts),
            "most_frequent": {"words": text, "times": often.hits},
            "seconds": {name: middle_and_high(taken) for name, taken in ({"reply": self.seconds} | self.steps).items()},
            "busy": self.busy,
        }  # fmt: skip


def count(sent: Iterable[Sent], cast: Iterable[Persona]) -> Counted:
    """Judge and count what was sent; `cast` are the characters that could be spoken for."""
    known = {one.id: frozenset((one.id, one.name, *one.aliases)) for one in cast}
    found = Counted(
        Count(), Count(), Count(), Counter(), Counter(), Counter(), [], [], [], defaultdict(list), defaultdict(Count)
    )
    for one in sent:
        names = frozenset({name for name, _ in one.scene}.union(*known.values()))
        own = known.get(one.persona, frozenset())
        whole = Draft(one.text, one.finish_reason, None)
        group = found.characters if one.partner else found.strangers
        group.add(_judged(one, whole, names, own))
        for draft in one.drafts:
            judged = _judged(one, draft, names, own)
            found.drafts.add(judged)
            found.asked[one.asked].add(judged)
            found.refusals[draft.refusal or ""] += 1
            found.endings[draft.finish_reason] += 1
        found.kinds[one.kind] += 1
        found.seconds.append(one.seconds)
        found.busy += one.busy
        for step, taken in one.steps.items():
            found.steps[step].append(taken)
        if one.kind == "reply":
            found.texts.append(normal(one.text))
            found.words.append(count_words(one.text))
    return found


def middle_and_high(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile; NaN of nothing."""
    if not seconds:
        return math.nan, math.nan
    ordered = sorted(seconds)
    return statistics.median(ordered), ordered[math.ceil(0.95 * len(ordered)) - 1]


def _judged(sent: Sent, draft: Draft, names: frozenset[str], own: frozenset[str]) -> Slip:
    before = tuple(text for _, text in sent.scene)
    said = Said(draft.text, names, before, finished=draft.finish_reason == "stop", own=own)
    return Slip(sent.talk, sent.persona, tuple(wrongs(said)), draft.text, draft.refusal)
