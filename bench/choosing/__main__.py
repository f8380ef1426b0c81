"""What each part of the ranking is worth, what it costs, and what would be sent without it.

`python -m bench.choosing --corpus friends-corpus [--contexts 200] [--show 12]`, on an idle machine.
The weights are fitted to validation episodes and judged on other validation episodes; nothing is
written into the model's card. `--show` prints contexts with all that was drawn, best first.
"""

import argparse
import asyncio
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.choosing.picks import picks
from bench.choosing.table import markdown
from bot.engine.checkpoints import load_checkpoint
from bot.engine.chooser import Chooser, ChooserOptions, Consideration, Considered
from bot.engine.local import LocalEngine
from bot.engine.shipped import checkpoint_folder, shipped_checkpoint
from bot.settings import load_settings
from persona.copied import CopiedLines
from persona.ranking import PARTS, Weights
from training.tuning.reading import Read
from training.tuning.tune import CANDIDATES, Question, measure

TIMED = 24
STEPS = ("drawing", "guard", "nowhere", "names")


def main() -> None:
    """Measure and print."""
    given = _arguments()
    cache = load_settings().cache_dir
    folder = checkpoint_folder(given.model) if given.model else shipped_checkpoint()
    if folder is None:
        raise SystemExit("no checkpoint ships here: name one with --model")
    question = Question(folder, (given.corpus,), cache, given.contexts, given.candidates, given.seed)
    tuned = measure(question, lambda done, of: print(f"\r{done} of {of} contexts", end="", file=sys.stderr))
    print(file=sys.stderr)
    timed = asyncio.run(consider(question, tuned.reads[: max(TIMED, given.show)], tuned.weights))
    text = markdown(tuned, picks(tuned.reads, tuned.weights), median_steps(timed[:TIMED]))
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")
    for read, found in list(zip(tuned.reads, timed, strict=False))[: given.show]:
        print(shown(read, found))


async def consider(question: Question, reads: Sequence[Read], weights: Weights) -> list[Consideration]:
    """Choose for each context, one after the other, as the bot does; the first is done twice and told once."""
    engine = LocalEngine(lambda: load_checkpoint(question.model, cache=question.cache, device=question.device))
    try:
        loaded, copied = await engine.checkpoint(), CopiedLines.read(question.model)
        options = ChooserOptions(candidates=question.candidates, weights=weights)
        chooser = Chooser(engine, loaded.personas, options, copied=copied.copies if copied else None)
        found = []
        for seed, read in enumerate((reads[0], *reads)):
            found.append(await chooser.consider(read.context.conversation, read.context.persona, seed=seed))
        return found[1:]
    finally:
        await engine.aclose()


def median_steps(found: Sequence[Consideration]) -> Mapping[str, float]:
    """Return the median seconds of each step."""
    return {step: statistics.median(one.seconds.get(step, 0.0) for one in found) for step in STEPS}


def shown(read: Read, found: Consideration) -> str:
    """Return a context, what was truly said, and all candidates, best first, with their parts or refusals."""
    lines = [f"\n{turn.name}: {turn.text}" for turn in read.context.conversation.turns[-3:]]
    lines.append(f"\n    [{read.context.persona.name} truly said] {read.context.said}")
    chosen = found.chosen and found.chosen.text
    for one in sorted(found.candidates, key=_rank, reverse=True):
        parts = one.parts
        told = f"({one.refusal})" if one.refusal else ""
        if parts:
            values = (f"{part} {value:.2f}" for part in PARTS if (value := getattr(parts, part)) is not None)
            told = f"{one.score:7.2f} = {', '.join(values)}"
        lines.append(f"\n  {'->' if one.candidate.text == chosen else '  '} {told} {one.candidate.text}")
    return "".join(lines)


def _rank(one: Considered) -> tuple[int, float]:
    """Sort those of which all is known before those that were asked about in less, as the ranker does."""
    known = 0 if one.parts is None else sum(getattr(one.parts, part) is not None for part in PARTS)
    return known, -math.inf if one.score is None else one.score


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="the show's corpus, as for `echochamber tune`")
    parser.add_argument("--model", type=Path, help="a checkpoint or run; what ships where it is not given")
    parser.add_argument("--contexts", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=CANDIDATES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print so many contexts")
    parser.add_argument("--out", type=Path, help="write the tables into this file, too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
