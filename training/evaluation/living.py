"""Is it alive, and is it its own: how varied replies are, how short, how often the same, and what they copy.

A fallback line stands in every count as one same short text, and as a repeat and a copy, so that a bot
does not look better for having nothing to say.
"""

import dataclasses
import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

from persona.dialogue import Scene
from training.evaluation.detectors import count_words, normal
from training.evaluation.figures import Figure, Measure
from training.evaluation.pieces import Generated
from training.evaluation.plan import Ask
from training.evaluation.shares import Name

ALIVE, OWN = "is it alive", "is it its own"
LINES, SHORT, RUN = 1000, 3, 8
_SENT = Name("sent_copies", "sent: eight words of a training line")
_DRAFTED = Name("drafted_copies", "candidates: eight words of a training line")
_FALLBACK = "a fallback line"  # three words: short
_Z = 1.959964  # two-sided 95 %

Pairs = Sequence[tuple[Ask, Generated]]


def living(pairs: Pairs, seed: int = 0) -> Measure:
    """Measure the replies of scenes: distinct-2, short ones, the most frequent, and repeats."""
    episodes = [ask.episode for ask, _ in pairs]
    replies, people = [_text(one) for _, one in pairs], [ask.said for ask, _ in pairs]
    repeats = [one.fallback or _said_before(ask, one.text) for ask, one in pairs]
    return Measure(
        ALIVE,
        (
            _variety(pairs, seed),
            Name("short", "three words or fewer").share(_short(replies), episodes, _short(people)),
            _most_frequent(replies, episodes, people),
            Name("repeats", "said before in the conversation").share(
                repeats, episodes, [_said_before(ask, ask.said) for ask, _ in pairs]
            ),
        ),
    )


def own(pairs: Pairs, training_scenes: Sequence[Scene]) -> Measure:
    """Measure which replies of scenes, and which candidates, have eight words in a row of a training line.

    Everybody's lines in `training_scenes` count; without any, nobody can say. `people` are the true lines
    of the same contexts.
    """
    if not training_scenes:
        return Measure(OWN, (_SENT.unknown("no training lines"), _DRAFTED.unknown("no training lines")))
    episodes = [ask.episode for ask, _ in pairs]
    drafts = [(ask.episode, draft.text) for ask, one in pairs for draft in one.drafts]
    texts = chain((one.text for _, one in pairs), (text for _, text in drafts), (ask.said for ask, _ in pairs))
    runs = {run for text in texts for run in _runs(text)}
    known = {run for scene in training_scenes for turn in scene.turns for run in _runs(turn.text) if run in runs}
    people = [_copies(ask.said, known) for ask, _ in pairs]
    sent = [one.fallback or _copies(one.text, known) for _, one in pairs]
    drafted = [_copies(text, known) for _, text in drafts]
    return Measure(
        OWN,
        (
            _SENT.share(sent, episodes, people),
            _DRAFTED.share(drafted, [episode for episode, _ in drafts], people),
        ),
    )


def distinct_2(texts: Iterable[str]) -> float | None:
    """Return how many different pairs of neighbouring words there are to a word; None without words.

    So defined by Li et al. 2016 ("A Diversity-Promoting Objective Function", arXiv:1510.03055); others
    divide by the number of pairs.
    """
    counted = _counted(texts)
    return len(counted.bigrams) / counted.words if counted.words else None


@dataclass(slots=True)
class _Counted:
    bigrams: Counter[tuple[str, str]] = field(default_factory=Counter)
    words: int = 0


def _counted(texts: Iterable[str]) -> _Counted:
    counted = _Counted()
    for text in texts:
        words = normal(text).split()
        counted.words += len(words)
        counted.bigrams.update(pairwise(words))
    return counted


def _text(one: Generated) -> str:
    return _FALLBACK if one.fallback else one.text


def _variety(pairs: Pairs, seed: int) -> Figure:
    name = Name("distinct_2", "distinct-2")
    drawn = random.Random(f"{seed}:distinct").sample(pairs, min(LINES, len(pairs)))  # noqa: S311 - not secrets
    by_episode: dict[str, list[str]] = defaultdict(list)
    for ask, one in drawn:
        by_episode[ask.episode].append(_text(one))
    value = distinct_2(_text(one) for _, one in drawn)
    if value is None:
        return name.unknown("nothing was said")
    low, high = _jackknife(list(map(_counted, by_episode.values())), value)
    people = distinct_2(ask.said for ask, _ in drawn)
    return Figure(*name, value, low, high, people=people, note=f"over {len(drawn):,} lines")


def _jackknife(parts: Sequence[_Counted], value: float) -> tuple[float, float] | tuple[None, None]:
    """Return the interval by leaving out one part at a time.

    A bootstrap would draw some lines twice and find them less varied for it.
    """
    whole = Counter[tuple[str, str]]()
    for part in parts:
        whole.update(part.bigrams)
    words = sum(part.words for part in parts)
    without = []
    for part in parts:
        gone = sum(whole[bigram] == times for bigram, times in part.bigrams.items())
        if words > part.words:
            without.append((len(whole) - gone) / (words - part.words))
    if len(without) < 2:
        return None, None
    half = _Z * math.sqrt((len(without) - 1) * statistics.pvariance(without))
    return max(0.0, value - half), value + half


def _short(texts: Iterable[str]) -> list[bool]:
    return [count_words(text) <= SHORT for text in texts]


def _most_frequent(replies: Sequence[str], episodes: Sequence[str], people: Sequence[str]) -> Figure:
    (most, ours), (_, theirs) = _most_common(replies), _most_common(people)
    figure = Name("most_frequent", "the most frequent reply").share(ours, episodes, theirs)
    return dataclasses.replace(figure, note=f'"{most}"') if ours else figure


def _most_common(texts: Sequence[str]) -> tuple[str, list[bool]]:
    """Return the words said most often as a whole text, and which texts they are."""
    words = [normal(text) for text in texts]
    [(most, _)] = Counter(words).most_common(1) or [("", 0)]
    return most, [one == most for one in words]


def _said_before(ask: Ask, text: str) -> bool:
    words = normal(text)
    return any(normal(turn.text) == words for turn in ask.conversation.turns)


def _runs(text: str) -> Iterator[str]:
    words = normal(text).split()
    return (" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1))


def _copies(text: str, known: Collection[str]) -> bool:
    return any(run in known for run in _runs(text))
