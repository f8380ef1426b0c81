"""What is said next: sampling, guard and ranking joined, so that what is measured is what is served."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.engine.protocol import Abilities, Candidate, GenerateRequest, ReplyEngine, Sampling
from bot.engine.ranker import Ranker, Rated
from bot.engine.scorer import Scorer, Situation
from bot.engine.timing import Seconds, timed, until
from persona.characters import Persona
from persona.dialogue import Scene
from persona.guard import Guard
from persona.ranking import Parts, Weights

CUT_OFF = "cut off"
_SEED_STRIDE = 1 << 32  # the seeds of further attempts never meet those of the replies to come
_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*(?=\s|$)""")

Offensive = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class ChooserOptions:
    """How replies are drawn and ranked.

    `longest` bounds a reply in tokens. `candidates` are drawn at once, as many as the engine
    advises where it is None; where the guard passes none of them, again, up to `attempts` times.
    """

    sampling: Sampling = field(default_factory=Sampling)
    longest: int = 60
    candidates: int | None = None
    attempts: int = 2
    weights: Weights = field(default_factory=Weights)


@dataclass(frozen=True, slots=True)
class Considered:
    """A candidate as it would be sent, and why it may not be (`refusal`), or what it is worth.

    `parts` and `score` are None where nothing was compared. Those of two candidates can be compared
    if both came among the best few, or neither did: the few alone have all parts, and are held against each other.
    """

    candidate: Candidate
    refusal: str | None = None
    parts: Parts | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Consideration:
    """All that was drawn, in order, duplicates included; which of it was chosen, None where nothing may be said.

    `seconds` are spent "drawing", on the "guard", and asking how likely the replies are "nowhere" and
    under other "names"; a step that was not taken is left out.
    """

    candidates: tuple[Considered, ...]
    chosen: Candidate | None
    seconds: Mapping[str, float]


class Chooser:
    """Asks the engine for candidates and says the best of those that the guard lets pass.

    `personas` are the characters of the checkpoint, `copied` says which texts copy the lines it
    learned from.
    """

    def __init__(
        self,
        engine: ReplyEngine,
        personas: Sequence[Persona],
        options: ChooserOptions | None = None,
        *,
        copied: Callable[[str], bool] | None = None,
    ) -> None:
        self._engine = engine
        self._options = options or ChooserOptions()
        self._guard = Guard(tuple(personas), copied)
        self._ranker = Ranker(Scorer(engine, personas), self._options.weights)
        self._abilities: Abilities | None = None

    async def choose(
        self,
        conversation: Scene,
        persona: Persona,
        *,
        seed: int | None = None,
        deadline: float | None = None,
        offensive: Offensive | None = None,
    ) -> Candidate | None:
        """Return what to say next, on one line; None where nothing that came may be said.

        A reply that was cut off ends with its last whole sentence. `deadline` is a moment of
        `time.monotonic()`, `offensive` says which texts must not be sent here. Raises Busy or
        EngineError where nothing can be drawn; what goes wrong later costs the ranking alone.
        """
        found = await self.consider(conversation, persona, seed=seed, deadline=deadline, offensive=offensive)
        return found.chosen

    async def consider(
        self,
        conversation: Scene,
        persona: Persona,
        *,
        seed: int | None = None,
        deadline: float | None = None,
        offensive: Offensive | None = None,
    ) -> Consideration:
        """Choose like `choose`, and return all that was considered."""
        at, seconds, refused = Situation(conversation, persona, deadline), Seconds(), tuple[Considered, ...]()
        for attempt in range(self._options.attempts):
            with timed(seconds, "drawing"):
                abilities, drawn = await self._draw(at, None if seed is None else seed + attempt * _SEED_STRIDE)
            with timed(seconds, "guard"):
                guarded = [self._guarded(one, at, offensive) for one in drawn]
            if passed := _distinct(guarded):
                ranked = await self._ranker.rank(at, passed, abilities, seconds)
                return Consideration((*refused, *_joined(guarded, ranked)), ranked[0].candidate, seconds)
            refused += tuple(guarded)
            if deadline is not None and time.monotonic() >= deadline:
                break
        return Consideration(refused, None, seconds)

    async def aclose(self) -> None:
        """Close the engine."""
        await self._engine.aclose()

    async def _draw(self, at: Situation, seed: int | None) -> tuple[Abilities, list[Candidate]]:
        """Return candidates, none where the engine was not ready in time."""
        options = self._options
        try:
            if self._abilities is None:
                self._abilities = await until(at.deadline, self._engine.ready())
        except TimeoutError:
            return Abilities(), []
        count = options.candidates or self._abilities.candidates
        request = GenerateRequest(
            at.conversation, at.persona, count, options.sampling, options.longest, seed, at.deadline
        )
        return self._abilities, await self._engine.generate(request)

    def _guarded(self, drawn: Candidate, at: Situation, offensive: Offensive | None) -> Considered:
        """Refuse a candidate, or shorten it to what may be sent: the guard reads both texts."""
        sent = _to_be_sent(drawn)
        texts = dict.fromkeys((drawn.text, drawn.text if sent is None else sent.text))
        reasons = (self._guard.refusal(text, at.conversation, at.persona, offensive) for text in texts)
        refusal = next(filter(None, reasons), None) or (CUT_OFF if sent is None else None)
        return Considered(drawn if refusal or sent is None else sent, refusal)


def _to_be_sent(drawn: Candidate) -> Candidate | None:
    """Return a candidate on one line; one that was cut off up to its last whole sentence, None without one.

    What is left of it was not drawn as it stands, with the end of turn behind: its log-probability is not known.
    """
    text = " ".join(drawn.text.split())
    if drawn.finish_reason == "stop":
        return replace(drawn, text=text)
    sentences = list(_SENTENCE_END.finditer(text))
    if not sentences:
        return None
    whole = text[: sentences[-1].end()]
    tokens = round(drawn.tokens * len(whole) / len(text)) + 1
    return replace(drawn, text=whole, logprob=None, tokens=tokens)


def _distinct(guarded: Sequence[Considered]) -> list[Candidate]:
    """Return one candidate a text, one with a log-probability where there is any."""
    passed = [one.candidate for one in guarded if one.refusal is None]
    by_text: dict[str, Candidate] = {}
    for one in sorted(passed, key=lambda candidate: candidate.logprob is None):
        by_text.setdefault(one.text, one)
    return list(by_text.values())


def _joined(guarded: Sequence[Considered], ranked: Sequence[Rated]) -> Iterator[Considered]:
    """Put what the ranking found to the candidates, to each duplicate too."""
    found = {one.candidate.text: one for one in ranked}
    for one in guarded:
        if one.refusal is None:
            rated = found[one.candidate.text]
            yield replace(one, candidate=rated.candidate, parts=rated.parts, score=rated.score)
        else:
            yield one
