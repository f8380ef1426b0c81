"""What a checkpoint must be to be loaded, and what is said where it is not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from bot.engine.bases import find_base
from bot.engine.checkpoints import CheckpointError, load_checkpoint, load_screenplay
from bot.engine.precision import GAIN_WANTED, choose_precision
from persona.card import Card
from persona.characters import friends
from tests.toys import toy_llama
from training.export import Exporter


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter of random weights for a toy Llama, with its card."""
    base = find_base(str(toy_llama(tmp_path / "base")), tmp_path / "cache")
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.folder), config)
    screenplay = load_screenplay(base.folder)
    card = Card(base.card, screenplay.format.name, "adapter", friends())
    Exporter(base, screenplay, card).write(model, tmp_path / "adapter", {}, {"x": 1})
    return tmp_path / "adapter"


def edit(folder: Path, change: dict) -> None:
    file = folder / "persona.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


def test_an_adapter_is_merged_into_its_base(adapter: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(adapter, cache=tmp_path / "cache", device="cpu")
    assert not any("lora" in name for name, _ in loaded.model.named_parameters())
    assert loaded.personas == friends()
    assert loaded.notice is None
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=loaded.model.dtype)
    ids = torch.tensor([loaded.screenplay.header("Joey Tribbiani")])
    assert not torch.equal(loaded.model(ids).logits, plain(ids).logits)


def test_another_base_or_format_is_refused_in_a_sentence(adapter: Path, tmp_path: Path) -> None:
    card = json.loads((adapter / "persona.json").read_text())
    edit(adapter, {"base": card["base"] | {"sha256": "0" * 64}})
    with pytest.raises(CheckpointError, match=r"belongs to another base: its card names .* checksum 000000000000"):
        load_checkpoint(adapter, cache=tmp_path / "cache", device="cpu")
    edit(adapter, card | {"format": "eos-joined"})
    with pytest.raises(CheckpointError, match="taught in the format 'eos-joined', which does not fit its base"):
        load_checkpoint(adapter, cache=tmp_path / "cache", device="cpu")
    edit(adapter, card | {"format": "haiku"})
    with pytest.raises(CheckpointError, match="'haiku', which this program does not know"):
        load_checkpoint(adapter, cache=tmp_path / "cache", device="cpu")


def test_a_damaged_checkpoint_is_said(adapter: Path, tmp_path: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_checkpoint(adapter, cache=tmp_path / "cache", device="cpu")
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"no adapter_model\.safetensors: the checkpoint is incomplete"):
        load_checkpoint(adapter, cache=tmp_path / "cache", device="cpu")
    with pytest.raises(CheckpointError, match=r"has no persona\.json"):
        load_checkpoint(tmp_path, cache=tmp_path / "cache", device="cpu")


def test_the_checkpoint_carries_its_template_and_no_path_of_its_maker(adapter: Path) -> None:
    assert "speaker" in (adapter / "chat_template.jinja").read_text()
    assert not list(adapter.glob("*.bin"))
    tensors = (adapter / "adapter_model.safetensors").read_bytes()
    assert b'"BF16"' in tensors
    assert b'"F32"' not in tensors


def test_precision_is_probed_once_and_remembered(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    first = choose_precision(cpu, tmp_path)
    assert choose_precision(cpu, tmp_path) == first
    known = json.loads((tmp_path / "precision.json").read_text())
    (tmp_path / "precision.json").write_text(json.dumps(dict.fromkeys(known, GAIN_WANTED + 1)))
    assert choose_precision(cpu, tmp_path).dtype is torch.bfloat16
    (tmp_path / "precision.json").write_text(json.dumps(dict.fromkeys(known, 0.5)))
    slow = choose_precision(cpu, tmp_path)
    assert slow.dtype is torch.float32
    assert "0.5 times" in slow.why


def test_a_card_can_be_replaced_without_weights(adapter: Path) -> None:
    from persona.card import read_card

    card = read_card(adapter)
    replace(card, measures={"y": 2}).write(adapter)
    assert read_card(adapter).measures == {"y": 2}
