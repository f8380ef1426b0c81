"""What an adapter beside the merged one costs: milliseconds a token of one conversation, and of eight.

`python -m bench.loops.adapters [--threads 2]`, on an idle machine: the model that ships alone, the same
with a copy of itself kept unmerged beside it, and that copy.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch

from bot.engine.checkpoints import LoadedCheckpoint, load_checkpoint
from bot.engine.decoding import Decoder
from bot.engine.protocol import GenerateRequest, Sampling
from bot.engine.shipped import shipped_checkpoint
from bot.settings import load_settings
from persona.characters import Persona
from persona.dialogue import Scene, Turn

STEPS, ROUNDS, AT_ONCE = 20, 5, (1, 8)
SCENE = Scene(tuple(Turn("Sam", f"What do you think about number {at}, my friend?") for at in range(10)))
COPY = Persona.from_speaker("Copy")


def beside(folder: Path, made: Path) -> Path:
    """Copy the adapter in `folder` for a character of its own."""
    shutil.copytree(folder, made)
    card = json.loads((made / "persona.json").read_text(encoding="utf-8"))
    (made / "persona.json").write_text(json.dumps(card | {"characters": [COPY.to_mapping()]}), encoding="utf-8")
    return made


def milliseconds(loaded: LoadedCheckpoint, persona: Persona) -> list[float]:
    """Return the median milliseconds of a step, for each number of candidates at once."""
    decoder, found = Decoder(loaded, 512, 2**29), []
    for count in AT_ONCE:
        request = GenerateRequest(SCENE, persona, count, Sampling(temperature=2, top_p=1), 250)
        taken = []
        for _ in range(ROUNDS):
            tasks = decoder.generation(request)
            decoder.step()
            start = time.perf_counter()
            for _ in range(STEPS):
                decoder.step()
            taken.append(1000 * (time.perf_counter() - start) / STEPS)
            decoder.drop(tasks)
        found.append(statistics.median(taken))
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    folder, cache = shipped_checkpoint(), load_settings().cache_dir
    if folder is None:
        raise SystemExit("no adapter ships with this checkout")
    alone = load_checkpoint(folder, cache=cache)
    rows = {"merged, alone": milliseconds(alone, alone.personas[0])}
    with tempfile.TemporaryDirectory() as made:
        both = load_checkpoint(folder, cache=cache, beside=[beside(folder, Path(made) / "copy")])
        rows["merged, with another beside it"] = milliseconds(both, both.personas[0])
        rows["the one beside it"] = milliseconds(both, COPY)
    print("| adapter | " + " | ".join(f"ms a step, {count} at once" for count in AT_ONCE) + " |\n|---|--:|--:|")
    for name, taken in rows.items():
        print(f"| {name} | " + " | ".join(f"{one:.1f}" for one in taken) + " |")


if __name__ == "__main__":
    main()
