"""What a sweep searches: the recipes, where it begins, and the training that a recipe stands for."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from training.mixture import parse_corpus, shares
from training.options import LORA_RATE, Options
from training.sweep.study import Range, Space

SPACE: Space = {
    "learning_rate": Range(1e-4, 3e-3, log=True),
    "rank": (4, 8, 16),
    "prompt_weight": (0.0, 0.1, 0.3, 1.0),
    "masked_share": (0.0, 0.25, 0.5),
}
SHOW_SHARE = "show_share"
_SHOW_SHARES = Range(0.3, 0.95)
# A trial is short and is judged by its curve: it may validate more than a training does. It saves nothing on its way,
# since a trial that was killed begins again.
VALIDATION_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Search:
    """What `echochamber sweep` was asked for; `corpora`, `base` and `persona` are those of a training.

    `trials` bounds the whole study over all its starts and processes, `minutes` a trial.
    """

    corpora: tuple[str, ...]
    out: Path
    cache: Path
    trials: int = 12
    minutes: float = 5.0
    base: str = "embedded"
    persona: str = "all"
    seed: int = 0
    device: str = "auto"

    def shares(self) -> list[float]:
        """Return each corpus's share as given, equal ones where none is; raises CorpusError."""
        return shares([parse_corpus(one)[1] for one in self.corpora], [1] * len(self.corpora), 1.0)

    def space(self) -> Space:
        """Return what is searched: with several corpora the show's share of the steps, too."""
        if len(self.corpora) == 1:
            return SPACE
        given = self.shares()[0]
        return {**SPACE, SHOW_SHARE: Range(min(given, _SHOW_SHARES.low), max(given, _SHOW_SHARES.high))}

    def first(self) -> dict[str, float]:
        """Return the recipe of the first trial: what `echochamber train` does where nothing is said."""
        known: dict[str, Any] = {one.name: one.default for one in fields(Options)}
        known |= {"learning_rate": LORA_RATE, SHOW_SHARE: self.shares()[0]}
        return {name: known[name] for name in self.space()}

    def options(self, recipe: Mapping[str, float], out: Path) -> Options:
        """Return the training that tries a recipe in the folder `out`, its minutes beginning now."""
        return Options(
            corpora=self.mixed(recipe), base=self.base, persona=self.persona, minutes=self.minutes, out=out,
            cache=self.cache, started=time.monotonic(), seed=self.seed, device=self.device,
            save_minutes=self.minutes, validation_share=VALIDATION_SHARE, rehearse=False,
            command=tuple(self.command(recipe, out, self.minutes)), **_chosen(recipe),
        )  # fmt: skip

    def command(self, recipe: Mapping[str, float], out: Path, minutes: float | None = None) -> list[str]:
        """Return the words of the `echochamber train` that trains a recipe into the folder `out`."""
        asked: dict[str, Any] = {"base": self.base, "persona": self.persona, "seed": self.seed, **_chosen(recipe)}
        asked |= {"device": self.device, "out": out} | ({"max_minutes": minutes} if minutes else {})
        words = [word for corpus in self.mixed(recipe) for word in ("--corpus", corpus)]
        for name, value in asked.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return ["echochamber", "train", *words]

    def command_line(self, recipe: Mapping[str, float], out: Path) -> str:
        """Return that command as a shell reads it."""
        return shlex.join(self.command(recipe, out))

    def mixed(self, recipe: Mapping[str, float]) -> tuple[str, ...]:
        """Return the corpora with the show at its share, and the others at the rest as they share it."""
        if SHOW_SHARE not in recipe:
            return self.corpora
        given, show = self.shares(), recipe[SHOW_SHARE]
        mixed = [show, *((1.0 - show) * one / sum(given[1:]) for one in given[1:])]
        names = [parse_corpus(one)[0] for one in self.corpora]
        return tuple(f"{name}:{share:.3f}" for name, share in zip(names, mixed, strict=True))


def _chosen(recipe: Mapping[str, float]) -> dict[str, Any]:
    """Return the options that a recipe names, the learning rate rounded to what a command shows."""
    chosen = {name: value for name, value in recipe.items() if name != SHOW_SHARE}
    return chosen | {"learning_rate": float(f"{recipe['learning_rate']:.3g}")}
