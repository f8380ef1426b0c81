"""Merged weights in the cache: the same bits, whole or absent, and never the reason why nothing loads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_checkpoint, load_screenplay
from bot.engine.merging import KEPT
from persona.card import Card
from persona.characters import friends
from tests.toys import toy_llama
from training.export import Exporter


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def an_adapter(folder: Path, seed: int) -> Path:
    """An adapter of random weights for a toy Llama, with its card."""
    base = find_base(str(toy_llama(folder / "base")), folder / "cache")
    torch.manual_seed(seed)
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.folder), config)
    screenplay = load_screenplay(base.folder)
    made = folder / f"adapter-{seed}"
    Exporter(base, screenplay, Card(base.card, screenplay.format.name, "adapter", friends())).write(
        model, made, {}, {"x": 1}
    )
    return made


def weights(adapter: Path, cache: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(adapter, cache=cache, device="cpu").model.state_dict())


def test_the_second_start_reads_the_same_bits(tmp_path: Path, cache: Path) -> None:
    adapter = an_adapter(tmp_path, 0)
    first = weights(adapter, cache)
    [kept] = (cache / "merged").iterdir()
    second = weights(adapter, cache)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [one.name for one in kept.iterdir() if one.suffix == ".safetensors"] == ["model.safetensors"]
    assert not list(kept.glob("*.bin"))


def test_the_second_start_loads_no_peft(tmp_path: Path, cache: Path) -> None:
    adapter = an_adapter(tmp_path, 0)
    weights(adapter, cache)
    code = (
        "import sys; from pathlib import Path; from bot.engine.checkpoints import load_checkpoint; "
        "load_checkpoint(Path(sys.argv[1]), cache=Path(sys.argv[2]), device='cpu'); print('peft' in sys.modules)"
    )
    words = [sys.executable, "-c", code, str(adapter), str(cache)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"


def test_damaged_weights_are_merged_again(tmp_path: Path, cache: Path) -> None:
    adapter = an_adapter(tmp_path, 0)
    first = weights(adapter, cache)
    [kept] = (cache / "merged").iterdir()
    file = kept / "model.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    again = weights(adapter, cache)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert file.stat().st_size > 200


def test_another_adapter_gets_weights_of_its_own_and_the_oldest_go(tmp_path: Path, cache: Path) -> None:
    adapters = [an_adapter(tmp_path, seed) for seed in range(KEPT + 1)]
    found = []
    for number, adapter in enumerate(adapters):
        weights(adapter, cache)
        new = next(one for one in (cache / "merged").iterdir() if one not in found)
        os.utime(new, (number, number))
        found.append(new)
    assert not found[0].exists()
    assert all(one.exists() for one in found[1:])


def test_without_room_for_a_copy_the_checkpoint_loads_all_the_same(tmp_path: Path, cache: Path) -> None:
    adapter = an_adapter(tmp_path, 0)
    weights(adapter, cache)
    shutil.rmtree(cache / "merged")
    (cache / "merged").write_text("a file where the folder should be")
    assert weights(adapter, cache)
