"""The pieces of an evaluation, computed by the engine and the chooser that the bot serves with."""

import dataclasses
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot.engine.bases import EMBEDDED
from bot.engine.checkpoints import load_checkpoint
from bot.engine.chooser import Chooser, ChooserOptions, Offensive
from bot.engine.local import LocalEngine
from bot.engine.protocol import ReplyEngine
from bot.engine.scorer import Scorer, Situation, together
from persona.card import read_card
from persona.characters import Persona
from persona.copied import CopiedLines
from persona.dialogue import Scene
from persona.ranking import Weights
from training.evaluation.pieces import Draft, Generated, Ledger, ScoredLine
from training.evaluation.plan import Ask, Line, Plan

_LINES_AT_ONCE, _REPLIES_AT_ONCE = 4, 16
_T = TypeVar("_T")
Step = Callable[[int], None]


class UnscoredError(RuntimeError):
    """An engine that cannot score replies, in one sentence."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How a checkpoint is served, or the untouched `base` where `folder` is None; `offensive` is the bot's filter."""

    folder: Path | None
    cache: Path
    base: str = EMBEDDED
    device: str = "auto"
    offensive: Offensive | None = None
    options: ChooserOptions = ChooserOptions()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Served:
    """What answers and scores; `tokens` counts those of a reply, its end of turn included."""

    engine: ReplyEngine
    chooser: Chooser
    personas: tuple[Persona, ...]
    tokens: Callable[[str], int]
    offensive: Offensive | None = None


@asynccontextmanager
async def serve(serving: Serving, personas: tuple[Persona, ...]) -> AsyncIterator[Served]:
    """Load a checkpoint as the bot does, and close it afterwards; raises CardError or EngineError."""
    folder = serving.folder
    copied = CopiedLines.read(folder) if folder else None
    weights = Weights.from_mapping(read_card(folder).ranking) if folder else Weights()
    engine = LocalEngine(lambda: load_checkpoint(folder, cache=serving.cache, device=serving.device, base=serving.base))
    try:
        screenplay = (await engine.checkpoint()).screenplay
        options = dataclasses.replace(serving.options, weights=weights)
        chooser = Chooser(engine, personas, options, copied=copied.copies if copied else None)
        yield Served(engine, chooser, personas, lambda text: len(screenplay.said(text)), serving.offensive)
    finally:
        await engine.aclose()


async def compute(plan: Plan, served: Served, ledger: Ledger, step: Step, *, seed: int = 0) -> None:
    """Compute what the ledger lacks of a plan; `step` is told how many pieces there are after each.

    Raises UnscoredError or EngineError; what was computed before is kept.
    """
    if not (await served.engine.ready()).scores:
        raise UnscoredError("this engine cannot score replies, so nothing can be evaluated with it: take a local one")
    work = _Work(served, ledger, step, seed)
    await _some_at_once(work.line, (one for one in plan.lines if one.number not in ledger.lines), _LINES_AT_ONCE)
    asks = (one for one in plan.asks if (one.kind, one.number) not in ledger.replies)
    await _some_at_once(work.reply, asks, _REPLIES_AT_ONCE)


@dataclass(frozen=True, slots=True)
class _Work:
    served: Served
    ledger: Ledger
    step: Step
    seed: int

    async def line(self, line: Line) -> None:
        """Score a line under every name and among others, after its scene and after none."""
        served, scorer = self.served, Scorer(self.served.engine, self.served.personas)
        texts = [line.said, *line.others]
        names = [one.name for one in served.personas]
        after = [line.conversation, Scene(())]
        # First alone: what is known of the scene by then is computed for none of the names once more.
        here = await scorer.here(Situation(line.conversation, line.persona), texts)
        # Every name is asked alike: what is computed in other batches is rounded otherwise.
        said = [scorer.here(Situation(scene, one), [line.said]) for scene in after for one in served.personas]
        *found, nowhere = await together(*said, scorer.nowhere(Situation(line.conversation, line.persona), texts))
        each = [one for [one] in found]
        self._keep(
            ScoredLine(
                line.number,
                served.tokens(line.said),
                dict(zip(names, each[: len(names)], strict=True)),
                dict(zip(names, each[len(names) :], strict=True)),
                tuple(zip(here, nowhere, map(served.tokens, texts), strict=True)) if line.others else (),
            )
        )

    async def reply(self, ask: Ask) -> None:
        """Choose a reply as the bot does, with a seed of its own."""
        seed = zlib.crc32(f"{self.seed}:{ask.kind}:{ask.number}".encode())
        start = time.perf_counter()
        found = await self.served.chooser.consider(
            ask.conversation, ask.persona, seed=seed, offensive=self.served.offensive
        )
        chosen = found.chosen
        drafts = (Draft(one.candidate.text, one.candidate.finish_reason, one.refusal) for one in found.candidates)
        self._keep(
            Generated(
                ask.kind,
                ask.number,
                chosen.text if chosen else "",
                chosen.finish_reason if chosen else "",
                chosen is None,
                tuple(drafts),
                round(time.perf_counter() - start, 3),
            )
        )

    def _keep(self, piece: ScoredLine | Generated) -> None:
        self.ledger.add(piece)
        self.step(len(self.ledger.lines) + len(self.ledger.replies))


async def _some_at_once(do: Callable[[_T], Awaitable[None]], work: Iterable[_T], count: int) -> None:
    """Do all of the work, `count` pieces at once; the first error ends it."""
    left = iter(work)

    async def worker() -> None:
        for one in left:
            await do(one)

    await together(*(worker() for _ in range(count)))
