"""Going on from an adapter that was trained before, with other data or another recipe."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from bot.engine.bases import Base, sha256_of
from bot.engine.checkpoints import ADAPTER, CheckpointError
from persona.card import Card, read_card
from persona.copied import CopiedLines
from training.corpus import Corpus
from training.held_out import learned_scenes
from training.options import Options, OptionsError
from training.runfolder import RunFolder
from training.split import Split

_TOLD = ("tokens_read", "learned_tokens", "steps", "minutes", "judged", "averaged", "strength")


@dataclass(frozen=True, slots=True)
class Start:
    """An adapter to go on from: its file, its card, what that says of how it was trained, and whose lines it learned.

    `copied` is None where the adapter's folder does not say which lines those are.
    """

    file: Path
    card: Card
    known: dict[str, Any]
    copied: CopiedLines | None

    def order(self, seed: int) -> int:
        """Return a seed for the order of what is read; the earlier run's own would begin with the same scenes again."""
        return seed ^ int(self.known["sha256"][:8], 16)

    def check_held_out(self, corpus: Corpus, split: Split) -> None:
        """Raise OptionsError where a side that `split` holds out of a corpus is what the adapter learned of it."""
        if corpus.sha256 not in {entry.get("sha256") for entry in self.card.data}:
            return
        held_out = {scene.episode for scene in split.validation + split.test + split.left_out}
        if held_out & {scene.episode for scene in learned_scenes(corpus, self.card)}:
            raise OptionsError(
                f"the adapter in {self.file.parent} learned from episodes of {corpus.name} that would be held out and "
                "measured now: ask for the --leave-out that it was trained with, or start from another"
            )

    def with_copied(self, lines: CopiedLines, tell: Callable[[str], None]) -> CopiedLines:
        """Return the hashes of `lines` together with those of what the adapter learned; says what is left out of them.

        Where their sizes are too unlike to be joined, those of more lines are kept: fewer can be recited then.
        """
        if self.copied is None:
            tell(f"{self.file.parent} does not say what it learned: nothing keeps that from being recited.")
            return lines
        joined = CopiedLines.union([lines, self.copied])
        if joined is None:
            left = "what was learned before" if len(lines) > len(self.copied) else "the new lines"
            tell(f"One corpus is so much larger that nothing keeps {left} from being recited.")
        return joined or max(lines, self.copied, key=len)

    def load(self, model: Any) -> None:
        """Put the weights into a model with a new adapter of the same shape; raises CheckpointError."""
        from peft import set_peft_model_state_dict  # noqa: PLC0415 - full fine-tuning needs no peft

        try:
            loaded: Any = set_peft_model_state_dict(model, load_file(self.file))
        except Exception as error:  # safetensors, peft and torch each raise their own
            raise CheckpointError(f"the adapter {self.file} cannot be loaded ({type(error).__name__})") from error
        if loaded.unexpected_keys:
            raise CheckpointError(f"the adapter {self.file} has weights that this base has no place for")


def find_start(options: Options, base: Base) -> Start | None:
    """Return the adapter that `options.start_from` names, a checkpoint's folder or a run's; None where nothing does.

    Raises OptionsError where it does not fit what is to be trained, CardError, and CheckpointError.
    """
    if options.start_from is None:
        return None
    best = RunFolder(options.start_from, leads=False).model
    folder = best if best.is_dir() else options.start_from
    card = read_card(folder)
    if card.kind != "adapter" or options.full:
        raise OptionsError("--start-from goes on from an adapter and trains one; whole weights can be a --base instead")
    if card.base.sha256 != base.card.sha256:
        raise OptionsError(f"{folder} was trained on another base, {card.base.name}: give that as --base")
    if not (folder / ADAPTER).is_file():
        raise CheckpointError(f"{folder} has no {ADAPTER}: the checkpoint is incomplete")
    if card.training.get("steps") == 0:
        raise OptionsError(f"{folder} is still the untouched base: its run has found nothing better yet")
    rank = _rank(folder / "adapter_config.json")
    if rank != options.rank:
        raise OptionsError(f"the adapter in {folder} has rank {rank}: give --rank {rank}")
    file = folder / ADAPTER
    told = {key: card.training[key] for key in _TOLD if key in card.training}
    earlier = {"before": before} if (before := card.training.get("start_from")) else {}
    return Start(file, card, {"sha256": sha256_of(file), **told, **earlier}, CopiedLines.read(folder))


def _rank(file: Path) -> int:
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is missing or damaged ({type(error).__name__})") from error
