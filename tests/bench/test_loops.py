"""The decoding loops' bench, on toys."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from bench.loops.adapters import COPY, beside, milliseconds
from bench.loops.agreement import agreement, answered, conversations
from bench.loops.one import rate
from bot.engine.bases import find_base
from bot.engine.checkpoints import load_checkpoint, load_screenplay
from bot.engine.decoding import Decoder
from persona.card import Card
from persona.characters import friends
from tests.bot.engine.pupils import untaught
from tests.toys import toy_llama
from training.export import Exporter


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_the_engine_agrees_with_transformers_and_not_with_another_model(kind: str, tmp_path: Path) -> None:
    served, plain, other = (untaught(kind, tmp_path / str(at)) for at in range(3))
    with torch.no_grad():
        for model in (served.model, plain.model):
            for weights in model.parameters():
                weights.mul_(6 if weights.dim() > 1 else 1)
        for weights in other.model.parameters():
            weights.mul_(6 if weights.dim() > 1 else 1).add_(torch.randn_like(weights))
    answers = answered(Decoder(served, 128, 2**24), conversations(5), friends()[0])
    assert len(answers) == 5
    assert agreement(plain.model, answers) == 1
    assert agreement(other.model, answers) < 0.5


def test_a_copy_beside_is_timed(tmp_path: Path) -> None:
    base = find_base(str(toy_llama(tmp_path / "base")), tmp_path / "cache")
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.folder), config)
    screenplay = load_screenplay(base.folder)
    Exporter(base, screenplay, Card(base.card, screenplay.format.name, "adapter", friends())).write(
        model, tmp_path / "adapter", {}, {}
    )
    both = load_checkpoint(
        tmp_path / "adapter", cache=tmp_path, device="cpu", beside=[beside(tmp_path / "adapter", tmp_path / "copy")]
    )
    assert both.adapter_of == {COPY.id: str(tmp_path / "copy")}
    assert all(one > 0 for one in milliseconds(both, COPY))


def test_a_rate_is_counted_in_replies() -> None:
    calls: list[int] = []
    assert rate(lambda: calls.append(1), 16) > 16
    assert len(calls) == 3
