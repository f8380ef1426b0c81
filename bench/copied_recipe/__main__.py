"""Train a base with the copied recipe for a while, and keep what does best on held-out lines as a checkpoint.

`python -m bench.copied_recipe --corpus DIR --minutes 120 --out DIR [--threads 1] [--every 6] [--leave-out season=s10]`.
The minutes are those of training over all starts: measuring and saving are counted in `wall_minutes` only, and a
killed run goes on with the same command. OUT/log.jsonl gets a line every 20 steps and at each measurement, OUT/best
is a checkpoint like those of `echochamber train`, in the recipe's own format; OUT/states is what the run goes on from.
`python -m bench.copied_recipe.beside` measures such a checkpoint and one of ours on the same held-out lines.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.copied_recipe.best import Best, card_of
from bench.copied_recipe.held_out import held_out_lines
from bench.copied_recipe.log import Log
from bench.copied_recipe.recipe import BATCH, Recipe, Windows
from bench.copied_recipe.states import Progress, States
from bot.engine.bases import EMBEDDED, Base, BaseError, find_base
from bot.engine.checkpoints import CheckpointError, load_base_model, load_screenplay
from bot.settings import load_settings
from persona.characters import friends
from persona.screenplay import EOS_NAMELESS
from training.corpus import Corpus, CorpusError, load_corpus
from training.export import Exporter
from training.locks import taken
from training.runfolder import replace_text
from training.signals import set_by_signals
from training.split import Split, split_scenes

LOG_EVERY = 20
TEST_SEASON = "s10"


class Run:
    """A run in `out`, at its beginning or where it was interrupted."""

    def __init__(self, recipe: Recipe, windows: Windows, best: Best, out: Path) -> None:
        self.recipe, self.windows, self.best = recipe, windows, best
        self._states, self._log = States(out / "states"), Log(out / "log.jsonl")
        self.progress = self._states.restore(recipe, _say)
        self._began = time.perf_counter() - self.progress.wall
        # Every state was measured before it was saved.
        self._log.forget_after(self.progress.step if self.progress.measured >= 0 else -1, but=best.step)

    def go(self, asked: argparse.Namespace, stop: Callable[[], bool]) -> bool:
        """Train until the minutes or the steps are over, or `stop` says so; say whether it is done."""
        progress = self.progress
        batches = self.windows.batches(asked.seed, progress.step, asked.max_steps)
        while progress.seconds < asked.minutes * 60:
            if progress.seconds >= progress.due:
                progress.due += asked.every * 60
                self._measure()
            if stop():
                self._save()
                return False
            start = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            progress.count(self.recipe.step(batch), time.perf_counter() - start)
            if progress.step % LOG_EVERY == 0:
                self._tick()
                self._log.write(progress)
        self._measure()
        return True

    def _measure(self) -> None:
        """Measure, keep the model where it is the best, and save the state; nothing where that was done."""
        if self.progress.measured == self.progress.step:
            return
        figure = self.best.offer(self.recipe.model, self.progress)
        self.progress.measured = self.progress.step
        self._tick()
        self._log.write(self.progress, bits_per_byte=figure)
        self._save()

    def _save(self) -> None:
        self._tick()
        self._states.save(self.recipe, self.progress)

    def _tick(self) -> None:
        self.progress.wall = time.perf_counter() - self._began


def split_of(corpus: Corpus, leave_out: Sequence[str] | None) -> Split:
    """Split a corpus as our own runs do; season 10 is left out where a corpus has it and nothing else is asked for."""
    if leave_out is None:
        leave_out = [f"season={TEST_SEASON}"] if TEST_SEASON in corpus.seasons.values() else []
    return split_scenes(corpus, leave_out)


def prepare(asked: argparse.Namespace, cache: Path) -> Run:
    """Read what the run needs, and check that a run gone on with asks for the same."""
    corpus, base = load_corpus(asked.corpus, cache), find_base(asked.base, cache, _say)
    split = split_of(corpus, asked.leave_out)
    settings = {"seed": asked.seed, "max_steps": asked.max_steps, "leave_out": list(split.asked)}
    _same_as_before(asked.out / "run.json", {"corpus": corpus.sha256, "base": base.card.sha256, **settings})
    torch.manual_seed(asked.seed)
    recipe, windows = _recipe(base, split, asked.max_steps)
    screenplay, taught = load_screenplay(base.folder, EOS_NAMELESS.name), {one.name for one in friends()}
    exporter = Exporter(base, screenplay, card_of(base, corpus, split, settings))
    best = Best(asked.out / "best", exporter, held_out_lines(split.validation, taught))
    return Run(recipe, windows, best, asked.out)


def _recipe(base: Base, split: Split, max_steps: int | None) -> tuple[Recipe, Windows]:
    tokenizer: Any = load_screenplay(base.folder, EOS_NAMELESS.name).tokenizer
    windows = Windows(split.train, {one.name for one in friends()}, tokenizer.wrapped)
    if len(windows) < BATCH:
        raise CorpusError("the friends say too little in the training episodes for a single batch")
    steps = max_steps or windows.steps
    padding = tokenizer.wrapped.pad_token_id or 0
    _say(f"{len(windows)} windows, {steps} steps until the learning rate is zero, padded with token {padding}")
    return Recipe(load_base_model(base, torch.float32), steps, padding), windows


def _same_as_before(file: Path, asked: dict[str, Any]) -> None:
    if not file.is_file() and (file.parent / "log.jsonl").exists():
        raise SystemExit(f"{file.parent} holds something else than such a run; give another --out")
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else asked
    changed = next((key for key in asked if known.get(key) != asked[key]), None)
    if changed:
        raise SystemExit(
            f"the run in {file.parent} was started with {changed} = {known.get(changed)!r}, not {asked[changed]!r}: "
            "ask for the same, or give another --out"
        )
    replace_text(file, json.dumps(asked, indent=1) + "\n")


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def _verdict(progress: Progress, best: Best) -> str:
    seconds = max(progress.seconds, 1e-9)
    return (
        f"{progress.tokens / seconds:.1f} tokens/s, {progress.positions / seconds:.1f} positions/s, "
        f"{progress.lines / seconds:.2f} lines/s; best held-out {best.figure:.4f} bits a byte at step {best.step}"
    )


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default=EMBEDDED)
    parser.add_argument("--leave-out", action="append", help="season=NAME or episode=ID; season=s10 where it is there")
    parser.add_argument("--max-steps", type=int, help="the recipe's own: the learning rate is zero after so many")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=float, default=6, help="minutes of training between two measurements")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Train, then say how fast it went and how far it came."""
    asked = _arguments(given)
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    lock = taken(asked.out / ".lock")
    if lock is None:
        raise SystemExit(f"another process is training in {asked.out}: wait for it, or give another --out")
    with lock, set_by_signals() as stop:
        try:
            run = prepare(asked, load_settings().cache_dir)
        except (BaseError, CheckpointError, CorpusError) as error:
            raise SystemExit(str(error)) from None
        if not run.go(asked, stop.is_set):
            raise SystemExit(f"interrupted after step {run.progress.step}; the same command goes on")
    _say(_verdict(run.progress, run.best))


if __name__ == "__main__":
    main()
