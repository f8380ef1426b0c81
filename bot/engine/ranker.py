"""Puts the best of the candidate replies first, by what the engine thinks of them.

Ranking never loses a reply: where scores cannot be had, or not in time, the cheaper ranking stands.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot import logs
from bot.engine.protocol import Abilities, Busy, Candidate, EngineError
from bot.engine.scorer import Scorer, Situation, together
from bot.engine.timing import Seconds, timed, until
from persona.ranking import ELSEWHERE, Evidence, Parts, Weights

FEWEST, SCORES_A_CANDIDATE = 3, 3.2  # five of eight where persona gain alone is asked: no worse than all (docs/runs.md)
_UNSCORED = "the engine cannot score: replies are ranked by the log-probability they were drawn with"
_UNKNOWN = "the engine gives no log-probabilities: the first reply that the guard passes is sent"

_log = logs.logger("ranker")


@dataclass(frozen=True, slots=True)
class Rated:
    """A candidate, what is known of it, and what that is worth; None where nothing is known."""

    candidate: Candidate
    evidence: Evidence | None = None
    score: float | None = None

    @property
    def parts(self) -> Parts | None:
        """Return what it is worth, part by part."""
        return None if self.evidence is None else Parts.of(self.evidence)


class Ranker:
    """Ranks by `weights`, as far as the engine's abilities and the time go; what has no weight is not asked."""

    def __init__(self, scorer: Scorer, weights: Weights) -> None:
        self._scorer = scorer
        self._weights = weights
        self._said: set[str] = set()

    async def rank(
        self, at: Situation, candidates: Sequence[Candidate], abilities: Abilities, seconds: Seconds
    ) -> list[Rated]:
        """Return the candidates, best first; nothing is asked where there is one alone.

        A candidate without log-probability gets one, if the engine can score. Only the best few by
        what one request tells are asked in other conversations and under other names (see `few`).
        The seconds of each step are added to `seconds`.
        """
        drawn = self._sorted(_drawn(one) for one in candidates)
        if len(candidates) < 2:
            return drawn
        if not abilities.scores:
            self._say_once(_UNSCORED if abilities.logprobs else _UNKNOWN)
            return drawn
        try:
            with timed(seconds, "nowhere"):
                rated = await until(at.deadline, self._cheaply(at, candidates))
        except (EngineError, TimeoutError) as error:
            return _short_of(error, drawn)
        few = self.few(at, len(candidates))
        try:
            with timed(seconds, "names"):
                best = await until(at.deadline, self._in_full(at, rated[:few]))
        except (EngineError, TimeoutError) as error:
            return _short_of(error, rated)
        return best + rated[few:]

    def few(self, at: Situation, candidates: int) -> int:
        """Return how many of the candidates are asked about in full: as many as 3.2 scores for each of all pay for.

        So the time depends little on which parts have weight.
        """
        weights = self._weights
        rivals = len(self._scorer.rivals(at.persona))
        in_full = bool(weights.commonness) * len(ELSEWHERE) + bool(weights.persona_gain) * rivals
        left = candidates * (SCORES_A_CANDIDATE - bool(weights.information))
        return max(FEWEST, int(left) // max(1, in_full))

    async def _cheaply(self, at: Situation, candidates: Sequence[Candidate]) -> list[Rated]:
        """Rate by what is known after one request; after two where a log-probability was missing."""
        texts = [one.text for one in candidates]
        unknown = [one.text for one in candidates if one.logprob is None]
        nowhere, here = await together(
            self._scorer.nowhere(at, texts if self._weights.information else ()), self._scorer.here(at, unknown)
        )
        found = dict(zip(unknown, here, strict=True))
        known = [_drawn(replace(one, logprob=found.get(one.text, one.logprob))) for one in candidates]
        if nowhere:
            known = [_knowing(one, nowhere=value) for one, value in zip(known, nowhere, strict=True)]
        return self._sorted(known)

    async def _in_full(self, at: Situation, few: Sequence[Rated]) -> list[Rated]:
        texts = [one.candidate.text for one in few]
        weights = self._weights
        elsewhere, others = await together(
            self._scorer.elsewhere(at, texts) if weights.commonness else _nothing(texts),
            self._scorer.others(at, texts) if weights.persona_gain else _nothing(texts),
        )
        found = zip(few, elsewhere, others, strict=True)
        return self._sorted(_knowing(one, elsewhere=there, others=names) for one, there, names in found)

    def _sorted(self, rated: Iterable[Rated]) -> list[Rated]:
        """Sort by score; by likelihood alone where that is all there is, and last where there is nothing."""
        rated = list(rated)
        known = [parts for one in rated if (parts := one.parts) is not None]
        scores = iter(self._weights.scores(known))
        scored = [replace(one, score=None if one.parts is None else next(scores)) for one in rated]
        return sorted(scored, key=_worth, reverse=True)

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            _log.warning(sentence)


def _drawn(candidate: Candidate) -> Rated:
    logprob = candidate.logprob
    return Rated(candidate, None if logprob is None else Evidence(candidate.tokens, logprob))


def _knowing(rated: Rated, **found: Any) -> Rated:
    return replace(rated, evidence=rated.evidence and replace(rated.evidence, **found))


def _worth(rated: Rated) -> tuple[float, float]:
    if rated.parts is None or rated.score is None:
        return -math.inf, -math.inf
    return rated.score, rated.parts.likelihood


async def _nothing(texts: Sequence[str]) -> list[tuple[float, ...]]:
    return [() for _ in texts]


def _short_of(error: Exception, rated: list[Rated]) -> list[Rated]:
    expected = isinstance(error, Busy | TimeoutError)
    (_log.info if expected else _log.warning)("ranked by less than all there is to know", error=type(error).__name__)
    return rated
