"""What a run works with, and who hears of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from persona.characters import Persona
from persona.screenplay import Screenplay
from training.decisions import Decision
from training.export import Exporter
from training.mixture import Part
from training.options import Options
from training.runfolder import RunFolder
from training.start import Start
from training.stream import Diet
from training.team import Team


@dataclass(frozen=True, slots=True)
class Voices:
    """Who hears of a run: `tell` gets sentences, `show` every record, `stop` may end it after any step."""

    tell: Callable[[str], None]
    show: Callable[[dict[str, Any]], None]
    stop: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Job:
    """What a run works with. `facts` are those of its first start; `log` is what a replay repeats.

    `start` is the adapter that it goes on from, None for a new one.
    """

    options: Options
    folder: RunFolder
    parts: Sequence[Part]
    screenplay: Screenplay
    personas: Sequence[Persona]
    exporter: Exporter
    device: torch.device
    facts: Mapping[str, Any]
    log: Sequence[Decision] = ()
    team: Team = field(default_factory=Team)
    start: Start | None = None

    def diet(self) -> Diet:
        """Return what the run feeds on, and in which order."""
        seed = self.start.order(self.options.seed) if self.start else self.options.seed
        return Diet(self.parts, self.options.tokens, seed, self.options.prompt_weight)

    @property
    def split(self) -> dict[str, Any]:
        """Return what is held out of every corpus, by its name."""
        return {part.name: part.split.to_card() for part in self.parts}

    @property
    def dtype(self) -> torch.dtype:
        """Return what is computed in."""
        chosen = getattr(torch, str(self.facts["precision"]))
        return chosen if isinstance(chosen, torch.dtype) else torch.float32

    @property
    def autocast(self) -> torch.dtype | None:
        """Return what autocast computes in, None where it is not needed."""
        return None if self.dtype is torch.float32 else self.dtype
