"""From verdicts to figures: how many replies of each origin count, how sure that is, and whether readers agree."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench.strangers.sheet import Dealt, asks_of, in_order
from bench.strangers.verdicts import Judged, Verdict, fleiss_kappa
from training.evaluation.intervals import Interval, mean_interval, ratio_interval
from training.evaluation.plan import Ask
from training.evaluation.shares import Share

Asked = Callable[[Judged], bool]
QUESTIONS: Mapping[str, Asked] = {
    "both": lambda one: one.counts,
    "sensible": lambda one: one.sensible,
    "in character": lambda one: one.in_character,
}
_OF_ONE: Mapping[str, Callable[[Verdict], bool]] = {
    "both": lambda one: one.both,
    "sensible": lambda one: one.sensible,
    "in character": lambda one: one.in_character,
}


@dataclass(frozen=True, slots=True)
class Place:
    """One reply with all that is known of it; `group` is what intervals resample whole, `kind` its heading."""

    origin: str
    prompt: str
    kind: str
    text: str
    judged: Judged
    group: str


@dataclass(frozen=True, slots=True)
class Tally:
    """The replies of all origins in the order of what was asked; the last origin is compared with.

    `asks` are what was asked, each prompt once.
    """

    places: tuple[Place, ...]
    origins: tuple[str, ...]
    asks: tuple[Ask, ...]

    def of(self, origin: str) -> list[Place]:
        """Return the replies of one origin."""
        return [one for one in self.places if one.origin == origin]

    def count(self, origin: str, question: str = "both", kind: str | None = None) -> tuple[int, int]:
        """Return how many of how many replies pass, of one kind of prompt or of all."""
        asked = [QUESTIONS[question](one.judged) for one in self.of(origin) if kind in (None, one.kind)]
        return sum(asked), len(asked)

    def share(self, origin: str, question: str = "both") -> Interval:
        """Return the share that passes, with its 95 % interval by bootstrap over prompts, or whole chats.

        Where all pass or none does, a bootstrap has nothing to vary: the interval is that of `Share`.
        """
        share, places = Share(*self.count(origin, question)), self.of(origin)
        if share.hits in (0, share.of):
            return Interval(share.value, *share.interval)
        return mean_interval([one.group for one in places], [float(QUESTIONS[question](one.judged)) for one in places])

    def ratio(self, origin: str) -> Interval:
        """Return the share that counts divided by the last origin's, by bootstrap as for `share`, the same for both."""
        ours, theirs = self.of(origin), self.of(self.origins[-1])
        return ratio_interval(
            [one.group for one in ours],
            [float(one.judged.counts) for one in ours],
            [float(one.judged.counts) for one in theirs],
        )

    def fallbacks(self, origin: str) -> int:
        """Return how many replies were fallback lines."""
        return sum(not one.judged.verdicts for one in self.of(origin))

    def kappa(self, question: str) -> float | None:
        """Return Fleiss' kappa between the readers, over every reply that was shown."""
        said = [[_OF_ONE[question](one) for one in place.judged.verdicts] for place in self.places]
        return fleiss_kappa([[sum(one), len(one) - sum(one)] for one in said if one])

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of prompts in their order."""
        return list(dict.fromkeys(one.kind for one in self.places))


def tally(dealt: Dealt, judged: Mapping[str, Judged]) -> Tally:
    """Put what the readers say to the replies of a sheet."""
    return Tally(tuple(_places(dealt, judged)), dealt.origins, asks_of(dealt.prompts, 1))


def _places(dealt: Dealt, judged: Mapping[str, Judged]) -> Iterator[Place]:
    texts = {row.id: row.reply for row in dealt.rows}
    for ask, replies in in_order(dealt):
        for one in replies:
            text, verdicts = texts.get(one.id, ""), judged.get(one.id, Judged())
            yield Place(one.origin, ask.episode, dealt.kind_of(ask), text, verdicts, dealt.group_of(ask))
