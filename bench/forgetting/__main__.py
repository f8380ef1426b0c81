"""The student's way against the mixture, at equal time: casual, technical, show one after the other, or all at once.

`python -m bench.forgetting --corpora DIR --minutes 21 --out DIR [--threads 1] [--only sequence|mixture|measure]`, where
the first DIR holds friends-corpus, casual-corpus and technical-corpus. Both arms train all weights at the same rate
from the same base, ship their best checkpoint, and spend all their minutes (no early stopping). Each stage of the
sequence gets a third of them and begins with the one before; the mixture's weights give each corpus a third of the
steps, the show-only cool-down included. The two arms may run at the same time, each on a core of its own.
"""

import argparse
from pathlib import Path

from bench.comparison import CASUAL, NEVER, SHOW, TECHNICAL, Contrast, compare
from bench.comparison import UNTOUCHED as BASE
from bench.runs import Planned, carry_out
from bot.engine.bases import EMBEDDED
from training.schedule import DECAY_SHARE

FIRST, SECOND, THIRD, MIXTURE = "1 casual", "2 technical", "3 show", "mixture"
CONTRASTS = (
    Contrast(MIXTURE, THIRD),
    Contrast(MIXTURE, BASE),
    Contrast(THIRD, BASE),
    Contrast(FIRST, BASE),
    Contrast(SECOND, FIRST),
    Contrast(THIRD, SECOND),
    Contrast(THIRD, FIRST),
)
ABOUT = """\
The sequence is casual, then technical, then the show, {stage:g} minutes each, every stage beginning with the best
checkpoint of the one before; the mixture learns from all three at once for {minutes:g} minutes, a third of the steps
each (weights {show:.4f} for the show and {other:.4f} for the others, the last {decay:.0%} of the minutes from the show
alone). All weights are trained, at the rate {rate:g}.
"""


def mixture_weights() -> tuple[float, float]:
    """Return the weights of the show and of each other corpus that give all three a third of the steps.

    The cool-down is the show's alone, so it gets less of what comes before.
    """
    show = (1 / 3 - DECAY_SHARE) / (1 - DECAY_SHARE)
    return show, (1 - show) / 2


def planned(given: argparse.Namespace) -> dict[str, Planned]:
    """Return the runs of both arms by their names in the table."""
    common = ("--full", "--learning-rate", f"{given.learning_rate:g}", "--patience", NEVER)
    folder = {name: str(given.corpora / name) for name in (SHOW, CASUAL, TECHNICAL)}
    runs: dict[str, Planned] = {}
    base = given.base
    for name, corpus, persona in (
        (FIRST, CASUAL, "everybody"),
        (SECOND, TECHNICAL, "everybody"),
        (THIRD, SHOW, "all"),
    ):
        words = ("--corpus", folder[corpus], "--persona", persona, "--base", base)
        runs[name] = Planned(given.out / name.replace(" ", "-"), given.minutes / 3, (*words, *common))
        base = str(runs[name].model)
    show, other = mixture_weights()
    mixed = [f"{folder[SHOW]}:{show:.4f}", *(f"{folder[name]}:{other:.4f}" for name in (CASUAL, TECHNICAL))]
    chosen = tuple(word for one in mixed for word in ("--corpus", one))
    runs[MIXTURE] = Planned(given.out / MIXTURE, given.minutes, (*chosen, "--base", given.base, *common))
    return runs


def main() -> None:
    """Train what is asked for, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="of each arm")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--base", default=EMBEDDED)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--only", choices=("sequence", "mixture", "measure"))
    given = parser.parse_args()
    runs = planned(given)
    if given.only in (None, "sequence"):
        carry_out([runs[name] for name in (FIRST, SECOND, THIRD)], given.threads)
    if given.only in (None, "mixture"):
        carry_out([runs[MIXTURE]], given.threads)
    if given.only in (None, "measure"):
        show, other = mixture_weights()
        sizes = {"minutes": given.minutes, "stage": given.minutes / 3, "show": show, "other": other}
        about = ABOUT.format(**sizes, decay=DECAY_SHARE, rate=given.learning_rate)
        compare("forgetting", about, runs, CONTRASTS, given)


if __name__ == "__main__":
    main()
