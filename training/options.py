"""What a training run is asked for, and what no run can do."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

LORA_RATE, FULL_RATE = 1e-3, 1e-4
DEFAULT_MINUTES = 120.0
# What a resumed run may ask for anew; everything else must be as at the first start.
_FREE = {"minutes", "max_steps", "out", "cache", "started", "resume", "device", "save_minutes", "keep_for_average"}
_FREE |= {"replay", "command", "micro_tokens", "corpora", "base", "rehearse", "exchanges", "start_from", "judged"}
# Runs from before these were there asked for nothing of the kind.
_WHERE_USED = ("contrast", "exchanges_share", "judged_share", "keep_last")


class OptionsError(ValueError):
    """Something that no run can do, in one sentence."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `echochamber train` was asked for. `started` is a moment of `time.monotonic()`.

    `corpora` are names or folders, each with `:WEIGHT` behind it or without; the first is the show,
    whose characters are taught. `minutes` is what may be spent over all starts; with `resume` another
    number is added. `tokens` are those of a step, padding included, `micro_tokens` those that are
    computed at once. `contrast` weighs telling a line's speaker from another name. A share of the steps,
    `exchanges_share`, is the characters' talk with strangers, from the folder `exchanges` or the project's
    own; another, `judged_share`, the replies in the file `judged`, of which readers would have sent some.
    `start_from` is the folder of an adapter to go on from. With `keep_last` the newest validated checkpoint
    is the model, whatever its score: that knows nothing of what readers like.
    """

    corpora: tuple[str, ...]
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
    dropout: float = 0.0
    tokens: int = 1024
    micro_tokens: int | None = None
    context: int | None = None
    max_steps: int | None = None
    device: str = "auto"
    leave_out: tuple[str, ...] = ()
    train_share: float = 1.0
    prompt_weight: float = 0.0
    masked_share: float = 0.25
    contrast: float = 0.0
    exchanges: Path | None = None
    exchanges_share: float = 0.0
    judged: Path | None = None
    judged_share: float = 0.0
    start_from: Path | None = None
    mixture_temperature: float = 1.0
    patience: int = 4
    validation_share: float = 0.05
    rehearse: bool = True
    save_minutes: float = 5.0
    keep_for_average: int = 0
    keep_last: bool = False
    replay: Path | None = None
    command: tuple[str, ...] = ()

    def asked(self) -> dict[str, Any]:
        """Return what a resumed run must ask for again, as it stands in `run.json` and in the card."""
        chosen = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _FREE}
        chosen = {name: one for name, one in chosen.items() if one or name not in _WHERE_USED}
        return chosen | {
            "rank": 0 if self.full else self.rank,
            "learning_rate": self.rate(),
            "leave_out": list(self.leave_out),
        }

    def rate(self) -> float:
        """Return the learning rate."""
        return self.learning_rate if self.learning_rate is not None else FULL_RATE if self.full else LORA_RATE

    def check(self) -> None:
        """Raise OptionsError for a value that no run can be made with."""
        wrong = next((sentence for sentence, fine in self._rules() if not fine), None)
        if wrong:
            raise OptionsError(wrong)

    def _rules(self) -> list[tuple[str, bool]]:
        whole = "must be a whole number of at least"
        shares = {"--dropout": self.dropout, "--masked-share": self.masked_share, "validation": self.validation_share}
        beside = self.exchanges_share + self.judged_share
        shares |= {"--exchanges-share": self.exchanges_share, "--judged-share": self.judged_share}
        repeats = not (self.resume and self.replay)
        return [
            ("--corpus must name at least one corpus", bool(self.corpora)),
            (f"the learning rate must be a number above 0 and at most 1, not {self.rate()}", 0 < self.rate() <= 1),
            (f"--rank {whole} 1, not {self.rank}", self.full or self.rank >= 1),
            (f"--max-steps {whole} 1, not {self.max_steps}", self.max_steps is None or self.max_steps >= 1),
            (f"--tokens {whole} 64, not {self.tokens}", self.tokens >= 64),
            (f"--micro-tokens {whole} 64, not {self.micro_tokens}", (self.micro_tokens or 64) >= 64),
            (f"--context {whole} 64, not {self.context}", self.context is None or self.context >= 64),
            (f"--patience {whole} 1, not {self.patience}", self.patience >= 1),
            (f"--keep-for-average {whole} 0, not {self.keep_for_average}", self.keep_for_average >= 0),
            (
                f"--max-minutes must be a number above 0, not {self.minutes}",
                self.minutes is None or 0 < self.minutes < math.inf,
            ),
            (f"--save-minutes must be a number above 0, not {self.save_minutes}", 0 <= self.save_minutes < math.inf),
            (f"--prompt-weight must be between 0 and 1, not {self.prompt_weight}", 0 <= self.prompt_weight <= 1),
            *((f"{name} must be from 0 to below 1, not {one}", 0 <= one < 1) for name, one in shares.items()),
            (
                f"--mixture-temperature must be above 0, not {self.mixture_temperature}",
                0 < self.mixture_temperature < math.inf,
            ),
            (f"--train-share must be above 0 and at most 1, not {self.train_share}", 0 < self.train_share <= 1),
            (f"--contrast must be a number of at least 0, not {self.contrast}", 0 <= self.contrast < math.inf),
            ("--exchanges needs --exchanges-share, such as 0.6", self.exchanges is None or self.exchanges_share > 0),
            ("--judged and --judged-share need each other", (self.judged is not None) == (self.judged_share > 0)),
            ("--exchanges-share and --judged-share together must leave something to the show", beside < 1),
            ("--replay repeats a run from its beginning and cannot be joined to --resume", repeats),
        ]
