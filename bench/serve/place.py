"""What is measured and how much of it; every process of the bench gets the same."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bot.engine.checkpoints import LoadedCheckpoint, choose_device, load_checkpoint
from bot.engine.precision import choose_precision
from bot.engine.protocol import Sampling


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint's folder (None: the untouched base), the cache's, and how our engine is to serve it."""

    model: Path | None
    cache: Path
    context: int = 512
    precision: str = "auto"
    cache_mb: int = 512

    def load(self, precision: str | None = None) -> LoadedCheckpoint:
        """Load the checkpoint as the bot does, in another precision where one is given."""
        return load_checkpoint(self.model, cache=self.cache, precision=precision or self.precision)

    def room(self, longest: int) -> int:
        """Return the tokens that the engine leaves a prompt before a reply of `longest`."""
        return self.context - max(longest, self.context // 4)

    @property
    def is_int8(self) -> bool:
        """Say whether our engine serves with weights in int8."""
        return choose_precision(choose_device("auto"), self.cache, self.precision).int8

    @property
    def served(self) -> str:
        """Return the number formats that our engine serves in."""
        chosen = choose_precision(choose_device("auto"), self.cache, self.precision)
        return str(chosen.dtype).removeprefix("torch.") + (" and int8" if chosen.int8 else "")

    def write(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def read(cls, text: str) -> "Place":
        """Return what was written."""
        fields = json.loads(text)
        model = Path(fields.pop("model")) if fields["model"] else fields.pop("model")
        return cls(model, Path(fields.pop("cache")), **fields)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked. Lengths are in tokens, `turns` and `histories` in turns before the new message.

    `plain` messages a round are put to `generate`, as many to ours one by one, `ranked` to the chooser.
    """

    at_once: int = 16
    plain: int = 8
    ranked: int = 4
    turns: int = 10
    reply: int = 30
    reply_before: int = 12
    candidates: int = 8
    counts: Sequence[int] = (1, 4, 16, 64)
    histories: Sequence[int] = (2, 10, 40)
    known: int = 1000
    returns: int = 200
    megabytes: int = 1024
    sampling: Sampling = field(default_factory=Sampling)


FULL = Sizes()
QUICK = Sizes(
    at_once=3, plain=1, ranked=1, turns=2, reply=4, reply_before=2, candidates=2, counts=(1, 3), histories=(2, 4),
    known=12, returns=6, megabytes=8, sampling=Sampling(temperature=0),
)  # fmt: skip
