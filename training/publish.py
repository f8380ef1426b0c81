"""A checkpoint made ready for others: one folder that needs neither this program nor this machine.

Merged, it loads with plain transformers and whatever reads its layout; as an adapter, it needs its base.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from bot.engine.bases import Base, BaseError, find_base
from bot.engine.checkpoints import CheckpointError, load_base_model, load_screenplay, merged
from bot.engine.shipped import checkpoint_folder
from persona.card import FILE_NAME, Card, CardError, read_card
from persona.copied import CopiedLines
from persona.screenplay import FormatError
from training.export import Exporter
from training.report.modelcard import hub_id, write_model_card
from training.words import nameless

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16}
Tell = Callable[[str], None]


class PublishError(RuntimeError):
    """A checkpoint that cannot be published as asked, in one sentence."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be made: the checkpoint in `model` (or a run's best) as the new folder `out`.

    `merge` joins an adapter to its base, in `dtype`, in which the weights are also written.
    """

    model: Path
    out: Path
    merge: bool = True
    dtype: Literal["bf16", "fp32", "fp16"] = "bf16"


def publish(wanted: Publication, cache: Path, tell: Tell = lambda line: None) -> Path:
    """Make the folder, whole or not at all, and return it; raises PublishError."""
    try:
        if wanted.out.exists() or wanted.out.is_symlink():
            raise PublishError(f"{wanted.out} exists already; give a folder that does not")
        folder = checkpoint_folder(wanted.model)
        card, copied = read_card(folder), CopiedLines.read(folder)
        parent = wanted.out.absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".exporting-") as made:
            new = Path(made) / "checkpoint"
            if card.kind == "full" or wanted.merge:
                _write_whole(folder, card, new, (DTYPES[wanted.dtype], cache, tell))
            else:
                _copy_adapter(folder, card, new)
            if copied is not None:
                copied.write(new)
            new.rename(wanted.out)
    except (BaseError, CardError, CheckpointError, FormatError) as error:
        raise PublishError(str(error)) from error
    except OSError as error:
        raise PublishError(f"cannot write {wanted.out}: {error.strerror or type(error).__name__}") from error
    return wanted.out


def _write_whole(folder: Path, card: Card, new: Path, how: tuple[torch.dtype, Path, Tell]) -> None:
    """Write all weights. They are merged in the dtype they are written in, as the bot merges to serve."""
    dtype, cache, tell = how
    base = Base(card.base, folder) if card.kind == "full" else _base_of(folder, card, cache, tell)
    model = load_base_model(base, dtype)
    if card.kind == "adapter":
        tell(f"Merging the adapter into {nameless(card.base.repo or card.base.name)}.")
        model = merged(model, folder)
    screenplay = load_screenplay(base.folder, card.format)
    model.generation_config.eos_token_id = screenplay.end_id
    whole = replace(_for_strangers(card), kind="full")
    Exporter(base, screenplay, whole).write(model, new, {}, whole.measures)
    for weights in new.glob("*.safetensors"):  # safetensors makes files that only their owner reads
        shutil.copymode(new / FILE_NAME, weights)


def _base_of(folder: Path, card: Card, cache: Path, tell: Tell) -> Base:
    base = find_base(card.base.name, cache, tell)
    if base.card.sha256 != card.base.sha256:
        raise CheckpointError(
            f"the adapter in {folder} belongs to another base: its card names {card.base.name} with the "
            f"checksum {card.base.sha256[:12]}, the one here has {base.card.sha256[:12]}"
        )
    return base


def _copy_adapter(folder: Path, card: Card, new: Path) -> None:
    if not hub_id(card.base):
        raise PublishError(f"the base {card.base.name} is a folder of this machine, so nobody else has it: use --merge")
    shutil.copytree(folder, new)
    _for_strangers(card).write(new)
    write_model_card(new)


def _for_strangers(card: Card) -> Card:
    """Return the card without the paths of this machine: of a folder only the name stays."""
    data = tuple({key: _pathless(value) for key, value in one.items()} for one in card.data)
    return replace(
        card,
        base=replace(card.base, name=nameless(card.base.name)),
        data=data,
        training={key: _pathless(value) for key, value in card.training.items()},
    )


def _pathless(value: Any) -> Any:
    if isinstance(value, str):
        return nameless(value)
    if isinstance(value, Mapping):
        return {_pathless(key): _pathless(each) for key, each in value.items()}
    return [_pathless(each) for each in value] if isinstance(value, list | tuple) else value
