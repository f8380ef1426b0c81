"""`echochamber evaluate`: what a checkpoint is worth, measured through the engine that serves it.

Every piece (a scored line, a reply) is kept as soon as it is known, so an interrupted evaluation
goes on, and what other models came to under the same plan stands beside it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.engine.bases import BaseError
from bot.engine.chooser import ChooserOptions, Offensive
from bot.engine.protocol import EngineError
from bot.engine.shipped import checkpoint_folder
from persona.card import Card, CardError, read_card
from persona.characters import Persona
from training.corpus import Corpus, CorpusError, load_corpus
from training.evaluation.knowing import knowing
from training.evaluation.measuring import Material, measure
from training.evaluation.pieces import Generated, Ledger, ScoredLine
from training.evaluation.plan import SAMPLE, Plan, Size, make_plan
from training.evaluation.served import Serving, UnscoredError, compute, serve
from training.evaluation.store import Record, Result, Store, StoreError, base_id, model_id, served_as
from training.held_out import HeldOut, choose_held_out, learned_scenes
from training.words import counted

UNTOUCHED = "untouched base"
Tell = Callable[[str], None]
Step = Callable[[int, int], None]


class EvaluationError(RuntimeError):
    """A checkpoint or corpus that cannot be measured, in one sentence."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be measured: the checkpoint in `model`, or its `untouched` base, on a side of `corpus`.

    `split` is "validation", "test", "left-out" or "all"; `size` says how much of it.
    `against` is a checkpoint whose finished evaluation stands beside it, the last other one where it is None.
    `offensive` is the bot's filter of the name `level`.
    """

    model: Path
    corpus: str
    cache: Path
    split: str = "validation"
    size: Size = SAMPLE
    untouched: bool = False
    against: Path | None = None
    device: str = "auto"
    offensive: Offensive | None = None
    options: ChooserOptions = ChooserOptions()  # noqa: RUF009 - frozen
    level: str = "off"

    @property
    def served(self) -> str:
        """Return what tells this way of serving from others."""
        return served_as(self.options, self.level)


@dataclass(frozen=True, slots=True)
class Answer:
    """A result, those of the untouched base and of another model where they are known, and what a stranger heard.

    `pieces` is the file in which all replies are.
    """

    result: Result
    base: Result | None
    other: Result | None
    strangers: tuple[tuple[str, str, str], ...]
    pieces: Path

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields; `strangers` are prompt, character and reply."""
        return self.result.to_mapping() | {
            "base": self.base and self.base.to_mapping(),
            "other": self.other and self.other.to_mapping(),
            "strangers": [
                {"prompt": prompt, "character": name, "reply": reply} for prompt, name, reply in self.strangers
            ],
        }


def _silent(done: int, of: int) -> None:
    return


def evaluate(question: Question, tell: Tell, step: Step = _silent) -> Answer:
    """Measure; `tell` gets a sentence when something takes long, `step` pieces done and in all.

    Raises EvaluationError.
    """
    try:
        return _evaluate(_prepared(question), question, tell, step)
    except (BaseError, CardError, CorpusError, EngineError, StoreError, UnscoredError) as error:
        raise EvaluationError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Job:
    folder: Path
    card: Card
    corpus: Corpus
    held_out: HeldOut
    personas: tuple[Persona, ...]
    plan: Plan
    store: Store

    @property
    def title(self) -> str:
        """Return what is measured, in words."""
        plan, held_out = self.plan, self.held_out
        episodes = len({one.episode for one in plan.lines})
        scenes = sum(one.kind == "scene" for one in plan.asks)
        side = self.corpus.unit if held_out.side == "all" else f"{held_out.side} {self.corpus.unit}"
        what = f"{counted(len(plan.lines), 'line')} scored, {scenes:,} replies to scenes"
        strangers = f"{len(plan.asks) - scenes} to a stranger"
        return f"{self.corpus.name}: {what} and {strangers}, {counted(episodes, side)}{held_out.note}"


def _prepared(question: Question) -> _Job:
    folder = checkpoint_folder(question.model)
    card = read_card(folder)
    corpus = load_corpus(question.corpus, question.cache)
    held_out = choose_held_out(corpus, question.split, [card])
    speakers = corpus.speakers()
    personas = tuple(one for one in card.characters if one.name in speakers)
    if not personas:
        raise CorpusError(f"none of the checkpoint's characters speaks in {corpus.name}")
    plan = make_plan(held_out.scenes, personas, question.size)
    if not plan.lines:
        raise CorpusError(f"there is no line of the characters to be measured in the {question.split} side")
    store = Store.of(question.cache, plan, corpus.sha256)
    return _Job(folder, card, corpus, held_out, personas, plan, store)


def _evaluate(job: _Job, question: Question, tell: Tell, step: Step) -> Answer:
    other = _other(job, question)  # first: what is not there must not be found out at the end
    base = job.store.record(base_id(job.card, question.served))
    ours = base if question.untouched else job.store.record(model_id(job.folder, job.card, question.served))
    bare = Plan(job.plan.lines, ())
    of = job.plan.pieces + (0 if question.untouched else bare.pieces)
    lines, replies = _computed(job, question, ours, (job.plan, 0, of), step)
    theirs = lines
    if not question.untouched:
        theirs, _ = _computed(job, question, base, (bare, job.plan.pieces, of), step)
    tell("Measuring what was computed.")
    material = Material(
        job.plan, lines, theirs, replies, learned_scenes(job.corpus, job.card), job.personas, tuple(job.card.characters)
    )
    name = UNTOUCHED if question.untouched else str(question.model)
    result = Result(name, job.title, time.time(), measure(material, tell))
    ours.write(result)
    beside = None
    if not question.untouched:
        beside = base.read() or Result(UNTOUCHED, job.title, 0.0, knowing(bare.lines, theirs))
    return Answer(result, beside, other, _heard(job.plan, replies), ours.pieces)


def _computed(
    job: _Job, question: Question, record: Record, work: tuple[Plan, int, int], step: Step
) -> tuple[Mapping[int, ScoredLine], Mapping[tuple[str, int], Generated]]:
    """Return a model's pieces, computing those that are missing; `work` is a plan, pieces done before, and in all."""
    plan, before, of = work
    folder = None if record.folder.name == base_id(job.card, question.served) else job.folder
    serving = Serving(folder, question.cache, job.card.base.name, question.device, question.offensive, question.options)
    with record.ledger() as ledger:
        if not ledger.has(plan):
            asyncio.run(_compute(job, serving, (plan, ledger), lambda done: step(before + done, of)))
        return ledger.lines, ledger.replies


async def _compute(job: _Job, serving: Serving, work: tuple[Plan, Ledger], step: Callable[[int], None]) -> None:
    async with serve(serving, job.personas) as served:
        await compute(work[0], served, work[1], step)


def _other(job: _Job, question: Question) -> Result | None:
    """Return the result that stands beside this one; raises CardError for a checkpoint that is none."""
    base = base_id(job.card, question.served)
    if question.against is None:
        ours = base if question.untouched else model_id(job.folder, job.card, question.served)
        return job.store.latest(ours, base)
    folder = checkpoint_folder(question.against)
    found = job.store.record(model_id(folder, read_card(folder), question.served)).read()
    if found is None:
        raise StoreError(f"{question.against} was not measured on the same lines yet: evaluate it first")
    return found


def _heard(plan: Plan, replies: Mapping[tuple[str, int], Generated]) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (ask.message, ask.persona.name, replies[ask.kind, ask.number].text)
        for ask in plan.asks
        if ask.kind == "stranger"
    )
