"""`echochamber tune`: fit the ranking's weights, and write them into the checkpoint's card.

To what was truly said in held-out episodes, or to what readers thought of replies.
"""

import asyncio
import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.engine.checkpoints import load_checkpoint
from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.local import LocalEngine
from bot.engine.protocol import EngineError
from bot.engine.scorer import Scorer
from bot.engine.shipped import checkpoint_folder
from persona.card import Card, CardError, read_card
from persona.characters import Persona
from persona.copied import CopiedLines
from persona.ranking import BREVITY, PARTS, Weights
from training.copied_lines import add_copied_lines
from training.corpus import Corpus, CorpusError, load_corpus
from training.exchanges import load_exchanges
from training.held_out import choose_held_out
from training.judged import Judged, held_out_of, learned_judged, read_judged
from training.split import split_scenes
from training.tuning.ablation import Choices, Row, ablation, sets_of
from training.tuning.brevity import brevity_of
from training.tuning.contexts import Context, choose_bare_contexts, choose_contexts
from training.tuning.judged import context_of, judged_replies
from training.tuning.logit import fit
from training.tuning.reading import Read, Reader, Step

CONTEXTS, CANDIDATES = 60, 8
Tell = Callable[[str], None]


class TuningError(RuntimeError):
    """A ranking that cannot be tuned, in one sentence."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which checkpoint is tuned on which corpus, or on the replies in the file `judged`.

    `corpora` are folders or names: the first is measured on, the others are what else the checkpoint learned from.
    `candidates` are drawn for each of `contexts` to see how the ranking fares among them, and what their length does.
    Where there are judged replies, weights are fitted to them alone, and corpora may be missing.
    """

    model: Path
    corpora: tuple[str, ...]
    cache: Path
    contexts: int = CONTEXTS
    candidates: int = CANDIDATES
    seed: int = 0
    device: str = "auto"
    judged: Path | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The weights, what each part is worth where nothing was fitted, and what it costs a reply in milliseconds.

    `standard` are the weights of standardised parts, `refused` those that came out below 0.
    """

    title: str
    weights: Weights
    standard: Mapping[str, float]
    refused: tuple[str, ...]
    rows: tuple[Row, ...]
    milliseconds: Mapping[str, float]
    reads: tuple[Read, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields, without any line of the corpus."""
        return {
            "title": self.title,
            "weights": self.weights.to_mapping(),
            "standard": dict(self.standard),
            "refused": list(self.refused),
            "milliseconds": dict(self.milliseconds),
            "rows": [
                {
                    "name": row.name,
                    **{key: found._asdict() for key, found in row.first.items()},
                    "difference": row.difference._asdict(),
                }
                for row in self.rows
            ],
        }


def _silent(done: int, of: int) -> None:
    return


def tune(question: Question, tell: Tell, step: Step = _silent) -> Tuned:
    """Measure, and write the weights into the card; the hashes of the training lines too, where they are missing.

    Raises TuningError.
    """
    tuned = measure(question, step)
    try:
        folder = checkpoint_folder(question.model)
        dataclasses.replace(read_card(folder), ranking=tuned.weights.to_mapping()).write(folder)
        if CopiedLines.read(folder) is None:
            _add_copied_lines(folder, question, tell)
    except (CardError, OSError) as error:
        raise TuningError(f"the weights cannot be written: {error}") from error
    return tuned


def measure(question: Question, step: Step = _silent) -> Tuned:
    """Fit the weights and measure what each part is worth; raises TuningError."""
    try:
        folder = checkpoint_folder(question.model)
        card = read_card(folder)
        if question.judged:
            judged = read_judged(question.judged, card.characters)
            held_out = held_out_of(judged, learned_judged(card), question.judged)
            return _by_readers(held_out, card, folder, question, step)
        return _by_true_lines(card, folder, question, step)
    except (CardError, CorpusError, EngineError) as error:
        raise TuningError(str(error)) from error


def _by_true_lines(card: Card, folder: Path, question: Question, step: Step) -> Tuned:
    if not question.corpora:
        raise TuningError("there is nothing to tune on: name a corpus, or a file of judged replies")
    contexts, title = _contexts(card, load_corpus(question.corpora[0], question.cache), question)
    reads, milliseconds = asyncio.run(_read(folder, contexts, question, step))
    brevity = brevity_of(reads)
    choices = [sets_of(one, brevity) for one in reads]
    return _fitted(f"{title}: the true line first", choices, brevity, milliseconds, reads)


def _by_readers(judged: Sequence[Judged], card: Card, folder: Path, question: Question, step: Step) -> Tuned:
    """Fit the weights to judged replies; what length does is seen in candidates that the checkpoint draws itself.

    Half of those are drawn in scenes of the corpus: strangers get hardly a short reply, so that they alone would say
    nothing of those. Where there is no corpus, it is what it is elsewhere.
    """
    half = question.contexts // 2 if question.corpora else 0
    in_scenes = _bare_contexts(card, load_corpus(question.corpora[0], question.cache), question, half) if half else []
    nothing_drawn = dataclasses.replace(question, candidates=0)
    reads, _ = asyncio.run(_read(folder, [context_of(one) for one in judged], nothing_drawn, step))
    some = random.Random(question.seed).sample(judged, min(len(judged), question.contexts - half))  # noqa: S311 - sampling
    to_strangers = [dataclasses.replace(context_of(one), same=()) for one in some]
    own, milliseconds = asyncio.run(_read(folder, [*to_strangers, *in_scenes], question, step))
    brevity = brevity_of(own) if in_scenes else BREVITY
    choices = [judged_replies(*one, brevity) for one in zip(judged, reads, strict=True)]
    title = f"judged replies to {len(judged)} messages: a good one first"
    return _fitted(title, choices, brevity, milliseconds, [*reads, *own])


def _fitted(
    title: str,
    choices: Sequence[Choices],
    brevity: Mapping[str, float],
    milliseconds: Mapping[str, float],
    reads: Sequence[Read],
) -> Tuned:
    found = fit([choice for one in choices for choice in one.taught()], range(len(PARTS)))
    if not found.weights.any():
        raise TuningError("no part of the ranking tells good replies from others: the weights stay as they are")
    weights = dict(zip(PARTS, (round(float(one), 4) for one in found.weights), strict=True))
    standard = dict(zip(PARTS, (round(float(one), 4) for one in found.standard), strict=True))
    refused = tuple(PARTS[at] for at in found.refused)
    tuned = Weights(**weights, brevity=brevity)
    return Tuned(title, tuned, standard, refused, tuple(ablation(choices)), milliseconds, tuple(reads))


def _contexts(card: Card, corpus: Corpus, question: Question) -> tuple[list[Context], str]:
    """Return the contexts, and in words what they are: half are exchanges, where the checkpoint learned those."""
    exchanges = _exchanges_of(card)
    half = question.contexts // 2 if exchanges and question.contexts >= 4 else 0  # two of each, or none
    contexts = _of_the_show(card, corpus, question, question.contexts - half)
    title = _counted(corpus, contexts)
    if exchanges and half:  # the card's split is the show's; exchanges are held out by the rule
        others = choose_contexts(split_scenes(exchanges).validation, card.characters, half, question.seed)
        title += f", {_counted(exchanges, others)}"
        contexts += others
    return contexts, title


def _counted(corpus: Corpus, contexts: Sequence[Context]) -> str:
    count = len({one.episode for one in contexts})
    return f"{corpus.name}: {len(contexts)} lines of {count} validation {corpus.unit}s"


def _exchanges_of(card: Card) -> Corpus | None:
    """Return the project's exchanges if the checkpoint learned these and no others: then what it held out is known."""
    exchanges = load_exchanges(None, card.characters)
    learned = {one.get("sha256") for one in card.data if exchanges and one.get("name") == exchanges.name}
    return exchanges if exchanges and learned == {exchanges.sha256} else None


def _bare_contexts(card: Card, corpus: Corpus, question: Question, count: int) -> list[Context]:
    scenes = choose_held_out(corpus, "validation", [card]).scenes
    return choose_bare_contexts(scenes, _speaking(card, corpus), count, question.seed)


def _speaking(card: Card, corpus: Corpus) -> list[Persona]:
    speakers = corpus.speakers()
    personas = [one for one in card.characters if one.name in speakers]
    if not personas:
        raise CorpusError(f"none of the checkpoint's characters speaks in {corpus.name}")
    return personas


def _of_the_show(card: Card, corpus: Corpus, question: Question, count: int) -> list[Context]:
    scenes = choose_held_out(corpus, "validation", [card]).scenes
    contexts = choose_contexts(scenes, _speaking(card, corpus), count, question.seed)
    if len({one.episode for one in contexts}) < 2:
        raise CorpusError(f"{corpus.name} holds out too few {corpus.unit}s: it takes two to tune on one, and test")
    return contexts


async def _read(
    folder: Path, contexts: Sequence[Context], question: Question, step: Step
) -> tuple[list[Read], dict[str, float]]:
    engine = LocalEngine(lambda: load_checkpoint(folder, cache=question.cache, device=question.device))
    try:
        loaded = await engine.checkpoint()
        screenplay, copied = loaded.screenplay, CopiedLines.read(folder)
        # What is drawn is asked about as true lines are, whatever its rank: nothing is asked to rank it.
        options = ChooserOptions(candidates=question.candidates, attempts=1, weights=Weights(1, 0, 0, 0))
        chooser = Chooser(engine, loaded.personas, options, copied=copied.copies if copied else None)
        scorer = Scorer(engine, loaded.personas)
        reader = Reader(scorer, lambda text: len(screenplay.said(text)), chooser if question.candidates else None)
        reads = await reader.read(contexts, question.seed, step)
        return reads, await reader.milliseconds(reads)
    finally:
        await engine.aclose()


def _add_copied_lines(folder: Path, question: Question, tell: Tell) -> None:
    try:
        exchanges = load_exchanges(None, read_card(folder).characters)
        corpora = [load_corpus(one, question.cache) for one in question.corpora]
        add_copied_lines(folder, [*corpora, exchanges] if exchanges else corpora)
    except CorpusError as error:
        tell(f"The hashes of the training lines are still missing: {error}.")
