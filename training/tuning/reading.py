"""Asks the served engine for everything that is known of the replies to a context."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.engine.chooser import Chooser
from bot.engine.protocol import Candidate
from bot.engine.scorer import Scorer, Situation, together
from persona.ranking import PARTS, Evidence
from training.tuning.contexts import Context

_AT_ONCE = 4  # contexts: enough to keep the engine busy
_TIMED = 16  # contexts
Step = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Read:
    """A context with the evidence of each of its `replies`, in order, and of the candidates `drawn` for it."""

    context: Context
    replies: tuple[Evidence, ...]
    drawn: tuple[tuple[Candidate, Evidence], ...] = ()


class Reader:
    """Reads contexts; `tokens` counts those of a text, its end of turn included.

    `chooser` draws the candidates, as the bot would; where it is None, none are drawn.
    """

    def __init__(self, scorer: Scorer, tokens: Callable[[str], int], chooser: Chooser | None) -> None:
        self._scorer = scorer
        self._tokens = tokens
        self._chooser = chooser
        self._elsewhere: dict[str, tuple[float, ...]] = {}

    async def read(self, contexts: Sequence[Context], seed: int, step: Step) -> list[Read]:
        """Read all, a few at once; `step` is told how many are done. Raises EngineError."""
        room, done = asyncio.Semaphore(_AT_ONCE), 0

        async def one(number: int, context: Context) -> Read:
            nonlocal done
            async with room:
                read = await self._read(context, seed + number)
            done += 1
            step(done, len(contexts))
            return read

        return await together(*(one(number, context) for number, context in enumerate(contexts)))

    async def milliseconds(self, reads: Sequence[Read]) -> dict[str, float]:
        """Return what each part costs a reply: the median over some contexts, one request after the other.

        Of all candidates everything is asked, where the bot may leave some out.
        """
        asking = (self._scorer.nowhere, self._scorer.others, self._scorer.elsewhere)
        spent: dict[str, list[float]] = {part: [] for part in PARTS}
        for one in [read for read in reads if len(read.drawn) > 1][:_TIMED]:
            at, texts = _situation(one.context), [candidate.text for candidate, _ in one.drawn]
            spent["likelihood"].append(0.0)  # it comes with drawing
            for part, ask in zip(PARTS[1:], asking, strict=True):
                began = time.perf_counter()
                await ask(at, texts)
                spent[part].append(1000 * (time.perf_counter() - began))
        return {part: statistics.median(values) for part, values in spent.items() if values}

    async def _read(self, context: Context, seed: int) -> Read:
        at, texts = _situation(context), context.replies
        here = await self._scorer.here(at, texts)
        drawn = await self._draw(context, seed)
        known = [Evidence(self._tokens(text), value) for text, value in zip(texts, here, strict=True)]
        known += [Evidence(one.tokens, one.logprob or 0.0) for one in drawn]
        found = await self._asked(at, [*texts, *(one.text for one in drawn)], known)
        return Read(context, tuple(found[: len(texts)]), tuple(zip(drawn, found[len(texts) :], strict=True)))

    async def _draw(self, context: Context, seed: int) -> list[Candidate]:
        """Draw what the guard lets pass, each text once."""
        if self._chooser is None:
            return []
        found = await self._chooser.consider(context.conversation, context.persona, seed=seed)
        passed = [
            one.candidate for one in found.candidates if one.refusal is None and one.candidate.logprob is not None
        ]
        return list({one.text: one for one in passed}.values())

    async def _asked(self, at: Situation, texts: Sequence[str], known: Sequence[Evidence]) -> list[Evidence]:
        nowhere, others, _ = await asyncio.gather(
            self._scorer.nowhere(at, texts), self._scorer.others(at, texts), self._learn_elsewhere(at, texts)
        )
        columns = zip(known, nowhere, others, (self._elsewhere[text] for text in texts), strict=True)
        return [
            replace(one, nowhere=after_none, others=names, elsewhere=there) for one, after_none, names, there in columns
        ]

    async def _learn_elsewhere(self, at: Situation, texts: Sequence[str]) -> None:
        """Ask about the lines that stood in no earlier context."""
        new = [text for text in dict.fromkeys(texts) if text not in self._elsewhere]
        self._elsewhere |= dict(zip(new, await self._scorer.elsewhere(at, new), strict=True))


def _situation(context: Context) -> Situation:
    return Situation(context.conversation, context.persona)
