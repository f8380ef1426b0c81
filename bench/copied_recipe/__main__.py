"""Train the embedded base with the copied recipe for a while, and log what it reaches on held-out lines.

`python -m bench.copied_recipe --corpus DIR --minutes 60 --out DIR [--threads 1] [--every 6]`. The minutes
are those of training: evaluating and saving are counted in `wall_minutes` only. OUT/log.jsonl gets a line
every 20 steps and at each evaluation, OUT/best the weights that did best on the held-out lines.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from bench.copied_recipe.held_out import Line, bits_per_byte, eos_joined, held_out_lines
from bench.copied_recipe.recipe import BATCH, EPOCHS, Recipe, Windows
from bot.engine.bases import EMBEDDED, find_base
from bot.settings import load_settings
from persona.characters import friends
from training.corpus import load_corpus
from training.split import split_by_episode

LOG_EVERY = 20


class Log:
    """The run so far, its two clocks, and OUT/log.jsonl."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.file = out / "log.jsonl"
        self.started = time.perf_counter()
        self.trained = 0.0
        self.step = self.tokens = self.positions = self.lines = 0

    def write(self, **measured: Any) -> None:
        """Append one line, and print it."""
        record = {
            "step": self.step,
            "minutes": round(self.trained / 60, 3),
            "wall_minutes": round((time.perf_counter() - self.started) / 60, 3),
            "tokens": self.tokens,
            "positions": self.positions,
            "lines": self.lines,
        }
        line = json.dumps(record | measured)
        print(line, flush=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class Judge:
    """Evaluates on the held-out lines and keeps the best weights in `folder`."""

    def __init__(self, tokenizer: Any, lines: list[Line], folder: Path) -> None:
        self.tokenizer, self.lines, self.folder = tokenizer, lines, folder
        self.best = float("inf")

    def judge(self, model: Any) -> float:
        """Return the bits per byte; where no earlier figure was as low, save the model."""
        figure = bits_per_byte(model, self.lines, lambda line: eos_joined(line, self.tokenizer))
        if figure < self.best:
            self.best = figure
            model.save_pretrained(self.folder)
            self.tokenizer.save_pretrained(self.folder)
        return figure


def run(recipe: Recipe, windows: Windows, judge: Judge, log: Log, asked: argparse.Namespace) -> None:
    """Train until the minutes or the epochs are over."""
    losses: list[float] = []
    due = 0.0
    batches = windows.batches(asked.seed)
    while log.trained < asked.minutes * 60:
        if log.trained >= due:
            log.write(loss=_mean(losses), bits_per_byte=judge.judge(recipe.model))
            due += asked.every * 60
        start = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            break
        read = recipe.step(batch)
        log.trained += time.perf_counter() - start
        losses = [*losses[1 - LOG_EVERY :], read.loss]
        log.step, log.lines = log.step + 1, log.lines + read.lines
        log.tokens, log.positions = log.tokens + read.tokens, log.positions + read.positions
        if log.step % LOG_EVERY == 0:
            log.write(loss=_mean(losses))
    log.write(loss=_mean(losses), bits_per_byte=judge.judge(recipe.model))


def _mean(losses: list[float]) -> float | None:
    return sum(losses) / len(losses) if losses else None


def main() -> None:
    """Train, then say how fast it went and how far it came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=float, default=6, help="minutes of training between two evaluations")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if (asked.out / "log.jsonl").exists():
        raise SystemExit(f"{asked.out} already holds a run; give another folder")
    # transformers' own import is slow: only behind the arguments
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    cache = load_settings().cache_dir
    split = split_by_episode(load_corpus(asked.corpus, cache).scenes)
    taught = {one.name for one in friends()}
    base = find_base(EMBEDDED, cache, print).folder
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    windows = Windows(split.train, taught, tokenizer)
    steps = len(windows) // BATCH * EPOCHS
    print(f"{len(windows)} windows, {steps} steps in {EPOCHS} epochs", flush=True)
    log = Log(asked.out)
    judge = Judge(tokenizer, held_out_lines(split.validation, taught), asked.out / "best")
    run(Recipe(model, steps), windows, judge, log, asked)
    seconds = max(log.trained, 1e-9)
    print(
        f"{log.tokens / seconds:.1f} tokens/s, {log.positions / seconds:.1f} positions/s, "
        f"{log.lines / seconds:.2f} lines/s; best held-out {judge.best:.4f} bits a byte"
    )


if __name__ == "__main__":
    main()
