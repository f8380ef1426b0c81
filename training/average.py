"""One adapter out of several that were trained one from another: the mean of their weights.

Adapters that share their beginning lie in one basin, and the mean is often better than each (Wortsman et al. 2022,
"Model soups"). A strength below 1 is a shorter step from the base: less sure of what training said, and less
overfitted to it.
"""

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from shutil import copyfile, copymode
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bot.engine.bases import sha256_of
from bot.engine.checkpoints import ADAPTER
from bot.engine.shipped import checkpoint_folder
from persona.card import FILE_NAME, Card, CardError, read_card
from persona.copied import FILE_NAME as COPIED
from persona.copied import CopiedLines
from training.report.modelcard import write_model_card

_CONFIG = "adapter_config.json"
_MADE_ANEW = {ADAPTER, COPIED, FILE_NAME, "README.md"}
_ALIKE = ("r", "lora_alpha", "use_rslora", "use_dora", "fan_in_fan_out")
_TOLD = (
    "seed", "tokens_read", "learned_tokens", "steps", "minutes", "judged", "start_from", "averaged", "strength",
)  # fmt: skip
_STRONGEST = 2.0


class AverageError(RuntimeError):
    """Adapters that have no mean, in one sentence."""


@dataclass(frozen=True, slots=True)
class Average:
    """Which adapters are averaged into the new folder `out`: checkpoint folders, or runs' whose best is meant.

    `weights` says how much each counts, all alike where it is empty. `strength`, from 0 to 2, multiplies what the
    mean adds to the base.
    """

    models: tuple[Path, ...]
    out: Path
    weights: tuple[float, ...] = ()
    strength: float = 1.0

    def shares(self) -> tuple[float, ...]:
        """Return how much each counts, 1 together; raises AverageError where numbers are missing or make no sense."""
        weights = self.weights or (1.0,) * len(self.models)
        if len(self.models) < 2:
            raise AverageError("it takes two adapters to have a mean: give --model twice")
        if len(weights) != len(self.models):
            raise AverageError(f"there are {len(self.models)} adapters and {len(weights)} weights: give one for each")
        if not all(map(math.isfinite, weights)) or min(weights) < 0 or not sum(weights):
            raise AverageError("weights are numbers from 0 up, and not all of them 0")
        if not 0 <= self.strength <= _STRONGEST:
            raise AverageError(f"the strength is a number from 0 to {_STRONGEST:.0f}, not {self.strength}")
        return tuple(one / sum(weights) for one in weights)


@dataclass(frozen=True, slots=True)
class _Adapter:
    folder: Path
    card: Card
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    copied: CopiedLines | None

    @classmethod
    def read(cls, model: Path) -> "_Adapter":
        """Read an adapter whole; raises CardError and AverageError."""
        folder = checkpoint_folder(model)
        card = read_card(folder)
        if card.kind != "adapter":
            raise AverageError(f"{folder} has all weights of its own: only adapters are averaged")
        try:
            config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
            tensors = load_file(folder / ADAPTER)
        except Exception as error:  # safetensors raises its own
            raise AverageError(f"the adapter in {folder} is incomplete or damaged ({type(error).__name__})") from error
        return cls(folder, card, config, tensors, CopiedLines.read(folder))

    def differs(self, other: "_Adapter") -> str | None:
        """Return in what the two differ so that they have no mean; None where they belong together."""
        mine, theirs = self.card, other.card
        shapes = [{name: tuple(tensor.shape) for name, tensor in one.tensors.items()} for one in (self, other)]
        for name, unlike in (
            ("base", mine.base.sha256 != theirs.base.sha256),
            ("format", mine.format != theirs.format),
            ("characters", [one.name for one in mine.characters] != [one.name for one in theirs.characters]),
            ("held-out episodes", _hold_out_otherwise(mine, theirs)),
            ("share of the training scenes", _train_share(mine) != _train_share(theirs)),
            ("shapes or LoRA settings", shapes[0] != shapes[1] or _settings(self.config) != _settings(other.config)),
        ):
            if unlike:
                return name
        return None


def average(wanted: Average) -> Path:
    """Make the folder, whole or not at all, and return it; raises AverageError.

    What is not averaged is the last adapter's, the ranking among it, which `tune` fits anew. What was measured is left
    out; the hashes of the training lines are those of all, and left out where one has none, or so few that they would
    blur the others' (`tune` makes them from the corpora).
    """
    shares = wanted.shares()
    try:
        if wanted.out.exists() or wanted.out.is_symlink():
            raise AverageError(f"{wanted.out} exists already; give a folder that does not")
        adapters = [_Adapter.read(one) for one in wanted.models]
        for one, other in combinations(adapters, 2):
            if name := one.differs(other):
                raise AverageError(f"{one.folder} and {other.folder} have no mean: they differ in their {name}")
        mean = _mean([one.tensors for one in adapters], shares, wanted.strength)
        _write(wanted.out, adapters, mean, _card(adapters, shares, wanted.strength))
    except CardError as error:
        raise AverageError(str(error)) from error
    except OSError as error:
        raise AverageError(f"cannot write {wanted.out}: {error.strerror or type(error).__name__}") from error
    return wanted.out


def _write(out: Path, adapters: Sequence[_Adapter], mean: Mapping[str, Tensor], card: Card) -> None:
    parent = out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    known = [one.copied for one in adapters if one.copied is not None]
    copied = CopiedLines.union(known) if len(known) == len(adapters) else None
    with tempfile.TemporaryDirectory(dir=parent, prefix=".averaging-") as made:
        new = Path(made) / "checkpoint"
        new.mkdir()
        for file in adapters[-1].folder.iterdir():
            if file.is_file() and file.name not in _MADE_ANEW:
                copyfile(file, new / file.name)
        save_file(dict(mean), new / ADAPTER, {"format": "pt"})
        card.write(new)
        copymode(new / FILE_NAME, new / ADAPTER)  # safetensors makes files that only their owner reads
        if copied is not None:
            copied.write(new)
        write_model_card(new)
        new.rename(out)


def _card(adapters: Sequence[_Adapter], shares: Sequence[float], strength: float) -> Card:
    """Return the last adapter's card with the data of all; how often each read which is known of its own run alone."""
    last = adapters[-1].card
    data: dict[str, Mapping[str, Any]] = {}
    for adapter in adapters:
        for one in adapter.card.data:
            entry = {"split": adapter.card.split, **one}
            entry.pop("weight", None)
            data[str(one.get("sha256", one.get("name")))] = entry
    told = [
        {"sha256": sha256_of(one.folder / ADAPTER), "share": round(share, 4)}
        | {key: one.card.training[key] for key in _TOLD if key in one.card.training}
        for one, share in zip(adapters, shares, strict=True)
    ]
    kept = {key: last.training[key] for key in ("train_share", "seed") if key in last.training}
    training = {**kept, "averaged": told, "strength": strength, "torch": torch.__version__}
    return replace(last, data=tuple(data.values()), training=training, measures={})


def _hold_out_otherwise(one: Card, other: Card) -> bool:
    """Say whether both learned from a corpus of which they held out other episodes."""
    splits = {entry.get("sha256"): entry.get("split", one.split) for entry in one.data}
    theirs = {entry.get("sha256"): entry.get("split", other.split) for entry in other.data}
    return any(splits[checksum] != theirs[checksum] for checksum in splits.keys() & theirs.keys())


def _train_share(card: Card) -> float:
    return float(card.training.get("train_share", 1))


def _settings(config: Mapping[str, Any]) -> list[Any]:
    modules = config.get("target_modules")
    return [sorted(modules) if isinstance(modules, list) else modules, *(config.get(key) for key in _ALIKE)]


def _mean(adapters: Sequence[Mapping[str, Tensor]], shares: Sequence[float], strength: float) -> dict[str, Tensor]:
    """Return the mean of each tensor; what B multiplies is what A lets through, so B alone takes the strength."""
    mean: dict[str, Tensor] = {}
    for name, first in adapters[0].items():
        total = torch.stack([share * one[name].float() for share, one in zip(shares, adapters, strict=True)]).sum(0)
        mean[name] = (total * strength if "lora_B" in name or "embedding_B" in name else total).to(first.dtype)
    return mean
