"""A small corpus: a LoRA adapter against full fine-tuning, with the same minutes on the same split.

`python -m bench.small_corpora --corpora DIR --minutes 20 --out DIR [--share 0.1] [--threads 1]
[--only lora|full|measure]`, where the first DIR holds friends-corpus, casual-corpus and technical-corpus. Both learn
from the same random share of the show's training scenes, with the tool's default rate for each, ship their best
checkpoint, and spend all their minutes (no early stopping). What they forget shows on casual and technical talk,
which neither learned from. The two arms may run at the same time, each on a core of its own.
"""

import argparse
from pathlib import Path

from bench.comparison import NEVER, SHOW, Contrast, compare
from bench.comparison import UNTOUCHED as BASE
from bench.runs import Planned, carry_out
from bot.engine.bases import EMBEDDED
from training.options import FULL_RATE, LORA_RATE

LORA, FULL = "lora", "full"
CONTRASTS = (Contrast(LORA, FULL), Contrast(LORA, BASE), Contrast(FULL, BASE))
ABOUT = """\
Both arms learned for {minutes:g} minutes from the same {share:.0%} of the show's training scenes: `lora` with rank
{rank} at the rate {lora:g}, `full` with all weights at {full:g}. Neither learned from casual or technical talk, so a
rise there is what was forgotten.
"""


def planned(given: argparse.Namespace) -> dict[str, Planned]:
    """Return the runs of both arms by their names in the table."""
    words = ("--corpus", str(given.corpora / SHOW), "--base", given.base, "--train-share", f"{given.share:g}")
    methods = {
        LORA: ("--rank", str(given.rank), "--learning-rate", f"{given.lora_rate:g}"),
        FULL: ("--full", "--learning-rate", f"{given.full_rate:g}"),
    }
    return {
        name: Planned(given.out / name, given.minutes, (*words, *method, "--patience", NEVER))
        for name, method in methods.items()
    }


def main() -> None:
    """Train what is asked for, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="of each arm")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.1, help="of the show's training scenes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--base", default=EMBEDDED)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--lora-rate", type=float, default=LORA_RATE)
    parser.add_argument("--full-rate", type=float, default=FULL_RATE)
    parser.add_argument("--only", choices=(LORA, FULL, "measure"))
    given = parser.parse_args()
    runs = planned(given)
    carry_out([run for name, run in runs.items() if given.only in (None, name)], given.threads)
    if given.only in (None, "measure"):
        rates = {"lora": given.lora_rate, "full": given.full_rate}
        about = ABOUT.format(minutes=given.minutes, share=given.share, rank=given.rank, **rates)
        compare("small_corpora", about, runs, CONTRASTS, given)


if __name__ == "__main__":
    main()
