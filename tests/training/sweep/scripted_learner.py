"""A learner that trains nothing: what it shows is a curve written beforehand or made from the options.

As a program it takes part in a sweep: `scripted_learner.py SEARCH_AS_JSON SECONDS_A_STEP TOGETHER`. Its first
step waits until as many trials as TOGETHER are running.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training.options import Options
from training.sweep.search import Search
from training.sweep.trials import sweep
from training.train import TrainingError

STEPS = 4


class ScriptedLearner:
    """Follows `curves` one after the other, then curves that are best at a learning rate of 7e-4.

    A curve is a sequence of scores, or a sentence that it fails with. `trained` are the options it got,
    `steps` how many steps each took; `at_step(trial, step)` is called after each.
    """

    def __init__(
        self,
        curves: Sequence[Sequence[float] | str] = (),
        at_step: Callable[[int, int], None] = lambda trial, step: None,
    ) -> None:
        self.curves, self.at_step = list(curves), at_step
        self.trained: list[Options] = []
        self.steps: list[int] = []

    def __call__(
        self,
        options: Options,
        tell: Callable[[str], None],
        show: Callable[[dict[str, Any]], None],
        stop: Callable[[], bool],
    ) -> Path:
        if stop():  # before the first step: a sweep that warms up
            return options.out / "model"
        number = len(self.trained)
        curve = self.curves[number] if number < len(self.curves) else made_curve(options)
        self.trained.append(options)
        self.steps.append(0)
        if isinstance(curve, str):
            raise TrainingError(curve)
        write_run(options.out)
        show(validation(0, 1.6))
        reason = "minutes"
        for step, score in enumerate(curve, start=1):
            self.steps[-1] = step
            show(validation(step, score))
            self.at_step(number, step)
            if step < len(curve) and stop():
                reason = "stopped"
                break
        with (options.out / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"kind": "end", "step": self.steps[-1], "reason": reason}) + "\n")
        return options.out / "model"


def made_curve(options: Options) -> list[float]:
    """Return a curve that falls to 1.0 at the learning rate 7e-4, and less far elsewhere."""
    distance = abs(math.log10(options.rate() / 7e-4)) + 0.01 * options.prompt_weight + 0.001 * options.rank
    return [1.0 + 0.2 * distance + 0.5 / step for step in range(1, STEPS + 1)]


def validation(step: int, score: float) -> dict[str, Any]:
    """Return a record of a validation."""
    return {
        "kind": "validation", "step": step, "tokens": 1000 * step, "bits_per_byte": score + 0.1, "persona_gain": 0.1,
        "repetition": 0.0, "score": score, "best": False, "minutes": float(step),
    }  # fmt: skip


def write_run(folder: Path) -> None:
    """Leave what a training leaves."""
    for part in ("checkpoints/step-00000001", "model"):
        (folder / part).mkdir(parents=True)
        (folder / part / "weights.safetensors").write_bytes(bytes(1000))
    for name in ("run.json", "metrics.jsonl", "report.html"):
        (folder / name).write_text("{}\n")


def main() -> None:
    """Take part in a sweep, and print how many trials were run here and how all of them stand."""
    asked = json.loads(sys.argv[1])
    asked |= {"corpora": tuple(asked["corpora"]), "out": Path(asked["out"]), "cache": Path(asked["cache"])}

    def say(sentence: str) -> None:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()

    def at_step(trial: int, step: int) -> None:
        while (trial, step) == (0, 1) and len(list(asked["out"].glob("trials/*.lock"))) < int(sys.argv[3]):
            time.sleep(0.01)
        time.sleep(float(sys.argv[2]))

    learner = ScriptedLearner(at_step=at_step)
    standings = sweep(Search(**asked), say, learner)
    sys.stdout.write(json.dumps({"here": len(learner.trained), **standings.to_mapping()}))


if __name__ == "__main__":
    main()
