"""Lines taught per second: our training and the copied recipe, turn about in one process.

`python -m bench.speed --corpus DIR [--seconds 60] [--rounds 3] [--threads N]`, on an idle machine. Both
teach the six friends from the same episodes and base. A line counts once: as a window's target there,
in the learned mask here. Ours is the real run of `training.train`, which asks after every step whether
to stop: there the copied recipe gets its turns. Loading, validating and saving count for neither.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.copied_recipe.recipe import BATCH, EPOCHS, Read, Recipe, Windows
from bench.speed.ours import FOREVER, asked, cache, say, set_threads, split_of, taught, tokens_a_line
from bench.speed.turns import Turns
from bot.engine.bases import EMBEDDED, find_base
from training.split import Split
from training.train import train


def copied_steps(base: str, split: Split) -> Callable[[], Read]:
    """Return the copied recipe's next step, as a function."""
    folder = find_base(base, cache(), say).folder
    windows = Windows(split.train, taught(), AutoTokenizer.from_pretrained(folder))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    recipe = Recipe(model, len(windows) // BATCH * EPOCHS)
    batches = windows.batches(seed=0)
    return lambda: recipe.step(next(batches))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--base", default=EMBEDDED)
    parser.add_argument("--seconds", type=float, default=60, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    set_threads(given.threads)
    split = split_of(given.corpus)
    turns = Turns(copied_steps(given.base, split), given.seconds, given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        options = asked(given.corpus, given.base, Path(folder) / "run", max_steps=10**6, save_minutes=FOREVER)
        train(options, say, turns.show, turns.stop)
    turns.ours.lines = turns.ours.tokens / tokens_a_line(options, split)
    print(f"ours           {turns.ours.row()}\ncopied recipe  {turns.theirs.row()}")
    ours, theirs = (one.lines / one.seconds for one in (turns.ours, turns.theirs))
    print(f"ours teaches {ours / theirs:.2f} times as many lines a second")


if __name__ == "__main__":
    main()
