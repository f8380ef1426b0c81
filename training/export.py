"""Write a checkpoint that the bot can load: weights as safetensors, tokenizer, card."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bot.engine.bases import EMBEDDED_REPO, Base
from bot.engine.checkpoints import ADAPTER
from persona.card import Card
from persona.harmless import harmless_name
from persona.screenplay import Screenplay


@dataclass(frozen=True, slots=True)
class Exporter:
    """What every checkpoint of a run has in common."""

    base: Base
    screenplay: Screenplay
    card: Card

    def write(self, model: Any, folder: Path, training: Mapping[str, Any], measures: Mapping[str, Any]) -> None:
        """Write `model` (a peft model, or a whole one) into the new `folder`.

        `training` and `measures` go into the card. Adapters are stored in bf16, which halves them
        and costs nothing that can be measured.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if self.card.kind == "adapter":
            model.save_pretrained(folder)
            _shrink(folder / ADAPTER)
            _record_base(folder / "adapter_config.json", self.base)
            (folder / "README.md").unlink(missing_ok=True)
        else:
            model.save_pretrained(folder)
        tokenizer: Any = self.screenplay.tokenizer
        speaker = harmless_name(self.card.characters[0].name, tokenizer.controls)
        template = self.screenplay.format.chat_template(speaker, tokenizer.eos)
        tokenizer.wrapped.chat_template = template
        tokenizer.wrapped.save_pretrained(folder)
        training = {**self.card.training, **training}
        replace(self.card, training=training, measures=measures).write(folder)


def _shrink(file: Path) -> None:
    weights = load_file(file)
    save_file({key: one.to(torch.bfloat16).contiguous() for key, one in weights.items()}, file, {"format": "pt"})


def _record_base(file: Path, base: Base) -> None:
    """Name the base as the hub knows it; peft records the path of this machine's cache."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base.card.repo or base.card.name or EMBEDDED_REPO
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
