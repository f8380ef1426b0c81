"""Kill a real training run again and again, and compare its bits with those of one that was left alone.

`python -m bench.resume --corpus DIR --out DIR [--base embedded] [--steps 40] [--kills 8] [--seed 0]`

Each start is a process of its own, killed with SIGKILL after a random time, at the earliest when its
first step is done: saving, validating and the report are all hit sooner or later. Both runs must be
made on the same machine with the same number of threads. Prints what happened and exits with 1 where
a bit differs.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from training.checkpoints import Checkpoints

_LONGEST_WAIT = 600.0


def steps_done(out: Path) -> int:
    """Return how many training steps the metrics of a run know."""
    metrics = out / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
    return sum('"kind": "train"' in line for line in lines)


def killed_after(command: list[str], out: Path, seconds: float) -> bool:
    """Start a run and kill it `seconds` after its first new step; return False where it ended before."""
    before, began = steps_done(out), time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while steps_done(out) <= before and run.poll() is None and time.monotonic() - began < _LONGEST_WAIT:
            time.sleep(0.05)
        try:
            run.wait(seconds)
        except subprocess.TimeoutExpired:
            run.kill()
            return True
    return False


def fingerprint(out: Path) -> dict[str, str]:
    """Return the SHA-256 of the trained weights, the optimizer's state and the model that ships."""
    state = Checkpoints(out / "checkpoints").latest(print)
    assert state is not None
    files = [
        state.folder / "trainable.safetensors",
        state.folder / "optimizer.pt",
        *(out / "model").glob("*.safetensors"),
    ]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> None:
    """Train both ways and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default="embedded")
    parser.add_argument("--persona", default="all")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--longest", type=float, default=40.0, help="seconds a start may train before it is killed")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    run = [sys.executable, "-m", "echochamber", "train", "--corpus", asked.corpus, "--base", asked.base]
    run += ["--persona", asked.persona, "--max-steps", str(asked.steps), "--save-minutes", "0.1", "--dropout", "0.05"]
    whole, killed = asked.out / "whole", asked.out / "killed"
    draw = random.Random(asked.seed)
    kills, command, ended = 0, [*run, "--out", str(killed)], False
    while not ended and kills < asked.kills:
        ended = not killed_after(command, killed, draw.uniform(0.0, asked.longest))
        if not ended:
            kills += 1
            command = [*run, "--out", str(killed), "--resume"]
            print(f"killed {kills} times, {steps_done(killed)} steps known", flush=True)
    if not ended:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*run, "--out", str(whole)], check=True, stdout=subprocess.DEVNULL)
    ours, theirs = fingerprint(killed), fingerprint(whole)
    same = {name: ours[name] == theirs[name] for name in theirs}
    print(json.dumps({"steps": asked.steps, "kills": kills, "same bits": same}, indent=2))
    sys.exit(0 if all(same.values()) else 1)


if __name__ == "__main__":
    main()
