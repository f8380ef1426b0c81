"""Overfitting on purpose: a run on a sliver of the show, pass after pass, until it is stopped early.

`python -m bench.overfit --corpus DIR --out DIR [--minutes 12] [--share 0.02] [--patience 3] [--threads 1]`. Prints
every validation, where held-out lines and those learned from part, where the run stopped and which step ships, and
where its report and pictures are.
"""

import argparse
from pathlib import Path
from typing import Any

from bench.comparison import write
from bench.runs import Planned, carry_out, spent
from bot.engine.bases import EMBEDDED
from training.report.curves import gap
from training.report.runlog import RunLog, read_run

COLUMNS = ("step", "passes", "minutes", "held out", "learned from", "gap", "score", "")


def planned(given: argparse.Namespace) -> Planned:
    """Return the run."""
    words = ["--corpus", given.corpus, "--base", given.base, "--train-share", f"{given.share:g}"]
    # A pass takes a minute or two: to be read after each, validating gets more than its twentieth.
    words += ["--validation-share", "0.25", "--patience", str(given.patience), *(["--full"] if given.full else [])]
    words += ["--learning-rate", f"{given.learning_rate:g}"] if given.learning_rate else []
    return Planned(given.out / "run", given.minutes, tuple(words))


def rows(log: RunLog) -> list[dict[str, Any]]:
    """Return what each validation found; `passes` are those over the sliver by then."""
    passes = {one["step"]: one["epoch"] for one in log.of("train")}
    return [
        {
            "step": one["step"],
            "passes": round(passes.get(one["step"], 0.0), 1),
            "minutes": round(one["minutes"], 1),
            "held_out": one["bits_per_byte"],
            "learned_from": one["train_bits_per_byte"],
            "gap": gap(one),
            "score": one["score"],
        }
        for one in log.validations
    ]


def verdict(found: list[dict[str, Any]], cost: dict[str, Any]) -> str:
    """Say where the curves part, where it stopped, and what ships."""
    lowest = min(found, key=lambda row: row["held_out"])
    behind = found[found.index(lowest) + 1 :]
    if not behind or behind[-1]["learned_from"] >= lowest["learned_from"]:
        parted = "The curves have not parted: held-out lines got easier to the end."
    else:
        last = behind[-1]
        parted = (
            f"They part after step {lowest['step']} ({lowest['passes']:.1f} passes, minute {lowest['minutes']:.1f}): "
            f"from there to step {last['step']}, held-out lines went from {lowest['held_out']:.4f} to "
            f"{last['held_out']:.4f} bits per byte, those learned from went from {lowest['learned_from']:.4f} to "
            f"{last['learned_from']:.4f}."
        )
    return f"{parted} It stopped at step {cost['steps']} ({cost['ended']}); step {cost['shipped_step']} ships.\n"


def table(found: list[dict[str, Any]], shipped: int | None) -> str:
    """Return the validations as a table in Markdown."""
    cells = [list(COLUMNS), ["--:"] * (len(COLUMNS) - 1) + ["---"]]
    for row in found:
        bits = [f"{row[key]:.4f}" for key in ("held_out", "learned_from", "gap", "score")]
        mark = "ships" if row["step"] == shipped else ""
        cells.append([str(row["step"]), f"{row['passes']:.1f}", f"{row['minutes']:.1f}", *bits, mark])
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def main() -> None:
    """Train, then tell of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--share", type=float, default=0.02, help="of the show's training scenes")
    parser.add_argument("--patience", type=int, default=3)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--base", default=EMBEDDED)
    given = parser.parse_args()
    run = planned(given)
    carry_out([run], given.threads)
    log = read_run(run.folder)
    found, cost = rows(log), spent(log)
    pages = [*run.folder.glob("*.html"), *sorted(run.folder.glob("*.png"))]
    told = f"{table(found, cost['shipped_step'])}\n{verdict(found, cost)}"
    write(given.out, "overfit", told, {"run": cost, "validations": found})
    print("\n".join(map(str, pages)))


if __name__ == "__main__":
    main()
