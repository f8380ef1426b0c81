"""Time until our held-out bits per byte reach the copied recipe's best.

`python -m bench.speed.reach --copied OUT --corpus DIR --minutes 15 --out DIR [--threads 1]`, where OUT is
the folder of `python -m bench.copied_recipe` and the threads are as many as it had. Trains with the
defaults, keeps each state that the run saves, and measures them afterwards on the same 300 lines, in
fp32 as well. Our minutes are those of the whole run, starting, validating and saving included; theirs
are of training alone.
"""

import argparse
import json
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch

from bench.copied_recipe.held_out import Line, bits_per_byte, held_out_lines, screenplay_of
from bench.speed.ours import Record, asked, say, set_threads, split_of, taught
from bot.engine.bases import EMBEDDED, find_base
from bot.engine.checkpoints import load_base_model, load_screenplay
from training.measures import LearnedLoss
from training.options import Options
from training.train import prepare_model, train
from training.trainer import TRAINABLE, restore


class Keeper:
    """`show` and `stop` of our run: copies the weights of every state it saves into `folder`."""

    def __init__(self, states: Path, folder: Path) -> None:
        self.states, self.folder = states, folder
        self.minutes: dict[int, float] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def show(self, record: Record) -> None:
        """Note the minute of each step."""
        if record["kind"] == "train":
            self.minutes[record["step"]] = record["minutes"]

    def remember(self, metrics: Path) -> None:
        """Note the minutes of a run that is over."""
        for line in metrics.read_text(encoding="utf-8").splitlines():
            self.show(json.loads(line))

    def keep(self) -> bool:
        """Copy what is new; never asks the run to stop."""
        for state in self.states.glob("step-*"):
            kept = self.folder / f"{state.name}.safetensors"
            if not kept.exists():
                shutil.copyfile(state / TRAINABLE, kept)
        return False


def best_of(log: Path) -> Record:
    """Return the copied run's best evaluation."""
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    evaluations = [record for record in records if "bits_per_byte" in record]
    return dict(min(evaluations, key=lambda record: record["bits_per_byte"]))


def measured(
    options: Options, keeper: Keeper, lines: list[Line], steps: Collection[int] | None = None
) -> Iterator[Record]:
    """Yield step, minutes and bits per byte of the untouched base and of the kept states, in their order."""
    base = find_base(options.base, options.cache)
    screenplay = load_screenplay(base.folder)
    model = LearnedLoss(prepare_model(load_base_model(base, torch.float32), options))  # a new adapter adds nothing
    for kept in [None, *sorted(keeper.folder.iterdir())]:
        step = int(kept.stem.removeprefix("step-")) if kept else 0
        if steps is not None and step not in steps:
            continue
        if kept:
            restore(model, kept)
        figure = bits_per_byte(model.model, lines, lambda line: screenplay_of(line, screenplay))
        yield {"step": step, "minutes": keeper.minutes.get(step, 0.0), "bits_per_byte": figure}


def verdict(rows: list[Record], copied: Record) -> str:
    """Return the sentences that compare our rows with the copied run's best."""
    goal = copied["bits_per_byte"]
    said = f"copied recipe: best {goal:.4f} bits a byte at minute {copied['minutes']:.1f}"
    best = min(rows, key=lambda row: row["bits_per_byte"])
    lowest = f"ours: lowest {best['bits_per_byte']:.4f} at minute {best['minutes']:.1f}"
    below = next((row for row in rows if row["bits_per_byte"] < goal), None)
    if below is None:
        return f"{said}\n{lowest}, never below it"
    share = 100 * below["minutes"] / copied["minutes"] if copied["minutes"] else float("nan")
    return (
        f"{said}\nours: below it at minute {below['minutes']:.1f}, {share:.1f} % of its minutes\n"
        f"{lowest}, {100 * (1 - best['bits_per_byte'] / goal):.1f} % below it"
    )


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copied", type=Path, required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--every", type=float, default=1, help="minutes between two saved states")
    parser.add_argument("--base", default=EMBEDDED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--step", type=int, action="append", help="measure these steps only; repeat it for more")
    given = parser.parse_args()
    set_threads(given.threads)
    copied = best_of(given.copied / "log.jsonl")
    run = given.out / "run"
    keeper = Keeper(run / "checkpoints", given.out / "states")
    options = asked(given.corpus, given.base, run, minutes=given.minutes, save_minutes=given.every)
    if run.exists():
        say(f"Measuring what stands in {given.out}; it is not trained again.")
        keeper.remember(run / "metrics.jsonl")
    else:
        train(options, say, keeper.show, keeper.keep)
        keeper.keep()
    lines = held_out_lines(split_of(given.corpus).validation, taught())
    rows: list[dict[str, Any]] = []
    for row in measured(options, keeper, lines, given.step):
        rows.append(row)
        print(json.dumps(row), flush=True)
    (given.out / "reach.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(verdict(rows, copied))


if __name__ == "__main__":
    main()
