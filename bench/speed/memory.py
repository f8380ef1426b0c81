"""Memory over a pass: how much this process holds after each step, how it grows, and its peak.

`python -m bench.speed.memory --corpus DIR [--minutes M] [--threads N]` trains with the defaults until the
first pass is over or the minutes are.
"""

import argparse
import resource
import statistics
import sys
import tempfile
from pathlib import Path

import psutil

from bench.speed.ours import FOREVER, Record, asked, say, set_threads
from bot.engine.bases import EMBEDDED
from training.train import train

PARTS, MIB = 8, 2**20


class Scales:
    """`show` and `stop` of our run: weighs the process after each step of the first pass."""

    def __init__(self) -> None:
        self.held: list[float] = []
        self._process = psutil.Process()
        self._is_over = False

    def show(self, record: Record) -> None:
        """Weigh the process."""
        if record["kind"] == "train":
            self._is_over = record["epoch"] >= 1
            self.held.append(self._process.memory_info().rss / MIB)

    def is_over(self) -> bool:
        """Say whether the pass is over."""
        return self._is_over


def report(held: list[float]) -> str:
    """Return the medians of eight parts of the steps, the growth from the second to the last, and the peak.

    The first part is where caches fill.
    """
    size = max(1, len(held) // PARTS)
    medians = [statistics.median(held[first : first + size]) for first in range(0, size * PARTS, size) if held[first:]]
    growth = medians[-1] - medians[min(1, len(medians) - 1)]
    return (
        f"{len(held)} steps; MiB in eight parts: {', '.join(f'{one:.0f}' for one in medians)}\n"
        f"growth {growth:+.0f} MiB ({100 * growth / medians[0]:+.1f} %), most after a step {max(held):.0f} MiB"
    )


def main() -> None:
    """Train, weigh and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--base", default=EMBEDDED)
    parser.add_argument("--minutes", type=float, default=FOREVER)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    set_threads(given.threads)
    scales = Scales()
    with tempfile.TemporaryDirectory() as folder:
        options = asked(given.corpus, given.base, Path(folder) / "run", minutes=given.minutes)
        train(options, say, scales.show, scales.is_over)
    print(report(scales.held))
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB:.0f} MiB")


if __name__ == "__main__":
    main()
