"""What a training run is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.engine.bases import Base
from training.corpus import Corpus

LORA_RATE, FULL_RATE = 1e-3, 1e-4


@dataclass(frozen=True, slots=True)
class Options:
    """What `echochamber train` was asked for. `started` is a moment of `time.monotonic()`."""

    corpus: str
    base: str
    persona: str
    minutes: float | None
    out: Path
    cache: Path
    started: float
    resume: bool = False
    seed: int = 0
    full: bool = False
    rank: int = 16
    learning_rate: float | None = None
    tokens: int = 1024
    max_steps: int | None = None
    device: str = "auto"

    def asked(self, corpus: Corpus, base: Base) -> dict[str, Any]:
        """Return what a resumed run must ask for again; minutes, steps and folder may change."""
        return {
            "corpus": corpus.sha256,
            "base": base.card.sha256,
            "persona": self.persona,
            "seed": self.seed,
            "full": self.full,
            "rank": 0 if self.full else self.rank,
            "learning_rate": self.rate(),
            "tokens": self.tokens,
        }

    def rate(self) -> float:
        """Return the learning rate."""
        return self.learning_rate or (FULL_RATE if self.full else LORA_RATE)
