"""The loops a bot could decode with, side by side: replies a minute, sixteen prompts of 190 tokens, 30 new tokens each.

`python -m bench.loops [--threads 2] [--rounds 3] [--ctranslate2 PYTHON --ctranslate2-model DIR]`, on an idle machine,
with the model that ships. Each loop has a process of its own: several pools of threads in one process
disturb each other. ctranslate2 has to be installed beside another Python, and the merged model (`echochamber export`)
converted with `ct2-transformers-converter --quantization int8`.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

LOOPS = ("generate", "padded", "transformers", "ours")
NAMES = {
    "generate": "`model.generate`, one at a time, fp32",
    "padded": "`model.generate`, a padded batch, bf16",
    "transformers": "transformers' continuous batching, bf16",
    "ours": "ours, cold, bf16 and int8",
    "ct2 one": "ctranslate2, one at a time, int8",
    "ct2 batch": "ctranslate2, a batch, int8",
}


def main() -> None:
    """Measure turn about and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ctranslate2", help="a Python that has it")
    parser.add_argument("--ctranslate2-model", help="the converted model")
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    here = Path(__file__).parent
    commands = [[sys.executable, "-m", "bench.loops.one", loop, str(given.threads)] for loop in LOOPS]
    if given.ctranslate2:
        script = str(here / "ct2.py")
        commands.append([given.ctranslate2, script, given.ctranslate2_model, str(given.threads)])
    for _ in range(given.rounds):
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            for name, rate in json.loads(done.stdout.splitlines()[-1]).items():
                found.setdefault(name, []).append(rate)
    base = statistics.median(found["generate"])
    print("| loop | replies/min | times the first |\n|---|--:|--:|")
    for name, rates in found.items():
        rate = statistics.median(rates)
        print(f"| {NAMES[name]} | {rate:.0f} | {rate / base:.1f} |")


if __name__ == "__main__":
    main()
