"""Seconds from the command to the first step: `python -m bench.speed.first_step --corpus DIR [--rounds 3]`.

Starts the real command and reads its metrics.jsonl while they grow. The first round fills the caches
and is not counted. A step's record is written at its end, so its own seconds are taken off.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.speed.ours import Record
from bot.engine.bases import EMBEDDED

PATIENCE = 600.0  # seconds


def first_step(corpus: str, base: str, folder: Path) -> tuple[float, float]:
    """Start a run in `folder`; return the seconds until its first step began, and until it was written down."""
    command = [sys.executable, "-m", "echochamber", "train", "--corpus", corpus, "--base", base]
    began = time.monotonic()
    with subprocess.Popen([*command, "--max-steps", "1000", "--out", str(folder)], stderr=subprocess.PIPE) as process:
        try:
            record = _first_record(process, folder / "metrics.jsonl", began + PATIENCE)
            written = time.monotonic() - began
        finally:
            process.kill()
    return written - record["tokens"] / record["tokens_per_second"], written


def _first_record(process: "subprocess.Popen[bytes]", metrics: Path, until: float) -> Record:
    while time.monotonic() < until:
        for line in metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.exists() else ():
            if line.endswith("\n") and json.loads(line)["kind"] == "train":
                return dict(json.loads(line))
        if process.poll() is not None:
            raise SystemExit(f"the run ended before its first step: {process.communicate()[1].decode()}")
        time.sleep(0.02)
    raise SystemExit(f"no step within {PATIENCE:.0f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--base", default=EMBEDDED)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    taken = []
    for number in range(given.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            starts, written = first_step(given.corpus, given.base, Path(folder) / "run")
        print(
            f"{'caches filled' if not number else f'round {number}'}: first step began after {starts:.2f} s, "
            f"was written down after {written:.2f} s",
            flush=True,
        )
        taken += [starts] if number else []
    print(f"median {statistics.median(taken):.2f} s")


if __name__ == "__main__":
    main()
