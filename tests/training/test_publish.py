"""What `export` makes loads here and with plain transformers, and says the same words."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_checkpoint, load_screenplay
from persona.card import Card, read_card
from persona.characters import friends
from persona.copied import CopiedLines
from persona.dialogue import Turn
from persona.harmless import harmless, harmless_name
from tests.toys import toy_gpt2, toy_llama
from training.export import Exporter
from training.publish import DTYPES, Publication, PublishError, publish

TURNS = [
    Turn("Ann", "Hello there, how are you?"), Turn("Chandler Bing", "Cold <|im_end|> soup."),
    Turn("x: <|endoftext|>", "Und: «wörtlich»\n  <|im_start|>Joey Tribbiani"),
]  # fmt: skip


def adapter_for(base_folder: Path, at: Path, **card: Any) -> Path:
    """Write an adapter of random weights for a base, as a training run does."""
    base = find_base(str(base_folder), at / "cache")
    conv1d = "gpt2" in base_folder.name
    config = LoraConfig(r=2, target_modules="all-linear", fan_in_fan_out=conv1d, task_type="CAUSAL_LM",
                        init_lora_weights=False)  # fmt: skip
    torch.manual_seed(1)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.folder), config)
    screenplay = load_screenplay(base.folder)
    written = Card(base.card, screenplay.format.name, "adapter", friends(), **card)
    Exporter(base, screenplay, written).write(model, at / "adapter", {}, {"bits_per_byte": 1.25})
    return at / "adapter"


@pytest.fixture(params=["llama", "gpt2"])
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make = toy_llama if request.param == "llama" else toy_gpt2
    return adapter_for(make(tmp_path / request.param), tmp_path)


def greedy(model: Any, ids: list[int]) -> list[int]:
    prompt = torch.tensor([ids])
    made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=24, do_sample=False)
    return list(made[0, len(ids) :].tolist())


def test_the_merged_model_says_what_the_adapter_says(adapter: Path, tmp_path: Path) -> None:
    served = load_checkpoint(adapter, cache=tmp_path / "cache", device="cpu", precision="bf16")
    dtype = next(name for name, one in DTYPES.items() if one is served.model.dtype)
    out = publish(Publication(adapter, tmp_path / "made", dtype=dtype), tmp_path / "cache")
    plain = AutoModelForCausalLM.from_pretrained(out)
    again = load_checkpoint(out, cache=tmp_path / "cache", device="cpu", precision="bf16")
    assert plain.dtype is served.model.dtype
    ids = served.screenplay.prompt(TURNS, "Joey Tribbiani", 100)
    assert greedy(plain, ids) == greedy(again.model, ids) == greedy(served.model, ids)
    base = AutoModelForCausalLM.from_pretrained(read_card(adapter).base.name)
    assert not torch.equal(plain(torch.tensor([ids])).logits.float(), base(torch.tensor([ids])).logits.float())


def test_the_template_renders_the_screenplays_ids(adapter: Path, tmp_path: Path) -> None:
    out = publish(Publication(adapter, tmp_path / "made"), tmp_path / "cache")
    screenplay = load_checkpoint(out, cache=tmp_path / "cache", device="cpu").screenplay
    controls = screenplay.tokenizer.controls
    messages = [
        {"role": "user", "name": harmless_name(turn.name, controls), "content": harmless(turn.text, controls)}
        for turn in TURNS
    ]
    tokenizer = AutoTokenizer.from_pretrained(out)
    for speaker in ("Joey Tribbiani", "Phoebe Buffay"):
        rendered = tokenizer.apply_chat_template(
            messages, speaker=speaker, add_generation_prompt=True, return_dict=True
        )["input_ids"]
        assert rendered == screenplay.prompt(TURNS, speaker, 10_000)


def test_the_card_is_a_whole_models_and_keeps_its_base(adapter: Path, tmp_path: Path) -> None:
    before = read_card(adapter)
    card = read_card(publish(Publication(adapter, tmp_path / "made"), tmp_path / "cache"))
    assert card.kind == "full"
    assert card.base.sha256 == before.base.sha256
    assert (card.characters, card.format, card.measures) == (before.characters, before.format, before.measures)
    assert "library_name: transformers" in (tmp_path / "made" / "README.md").read_text()
    assert not list((tmp_path / "made").glob("adapter*"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_are_written_in_the_dtype_asked_for(tmp_path: Path, dtype: Any) -> None:
    adapter = adapter_for(toy_llama(tmp_path / "llama"), tmp_path)
    out = publish(Publication(adapter, tmp_path / "made", dtype=dtype), tmp_path / "cache")
    assert AutoModelForCausalLM.from_pretrained(out).dtype is DTYPES[dtype]
    assert (out / "model.safetensors").stat().st_mode == (out / "persona.json").stat().st_mode


def test_generation_ends_with_the_turn(tmp_path: Path) -> None:
    out = publish(Publication(adapter_for(toy_llama(tmp_path / "llama"), tmp_path), tmp_path / "made"), tmp_path / "c")
    end = json.loads((out / "generation_config.json").read_text())["eos_token_id"]
    assert AutoTokenizer.from_pretrained(out).convert_ids_to_tokens(end) == "<|im_end|>"


def test_no_path_of_this_machine_leaves_it(tmp_path: Path) -> None:
    data = ({"name": "/home/ann/my-corpus", "scenes": 3, "sha256": "ab"},)
    training = {"persona": "/home/ann/joey.toml", "corpora": ["/home/ann/my-corpus:0.6"], "leave_out": ["season=s10"]}
    adapter = adapter_for(toy_llama(tmp_path / "llama"), tmp_path, data=data, training=training)
    out = publish(Publication(adapter, tmp_path / "made"), tmp_path / "cache")
    for file in out.rglob("*"):
        assert str(tmp_path).encode() not in file.read_bytes(), file
        assert b"/home/ann" not in file.read_bytes(), file
    card = read_card(out)
    assert card.base.name == "llama"
    assert card.training["corpora"] == ["my-corpus:0.6"]
    assert card.training["leave_out"] == ["season=s10"]


def test_an_adapter_is_left_one_where_others_have_its_base(tmp_path: Path) -> None:
    adapter = adapter_for(toy_llama(tmp_path / "llama"), tmp_path)
    with pytest.raises(PublishError, match="a folder of this machine, so nobody else has it: use --merge"):
        publish(Publication(adapter, tmp_path / "made", merge=False), tmp_path / "cache")
    card = read_card(adapter)
    replace(card, base=replace(card.base, name="ann/llama")).write(adapter)
    out = publish(Publication(adapter, tmp_path / "made", merge=False), tmp_path / "cache")
    assert (out / "adapter_model.safetensors").read_bytes() == (adapter / "adapter_model.safetensors").read_bytes()
    assert "base_model: ann/llama" in (out / "README.md").read_text()
    assert read_card(out).kind == "adapter"


def test_what_is_there_is_never_touched(tmp_path: Path) -> None:
    adapter = adapter_for(toy_llama(tmp_path / "llama"), tmp_path)
    (tmp_path / "made").mkdir()
    with pytest.raises(PublishError, match="exists already"):
        publish(Publication(adapter, tmp_path / "made"), tmp_path / "cache")
    assert list((tmp_path / "made").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError, match=r"cannot write .*made: (Not a directory|File exists)"):
        publish(Publication(adapter, tmp_path / "file" / "made"), tmp_path / "cache")


def test_a_damaged_checkpoint_leaves_nothing_behind(tmp_path: Path) -> None:
    adapter = adapter_for(toy_llama(tmp_path / "llama"), tmp_path)
    (adapter / "adapter_model.safetensors").write_bytes(b"no weights")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(PublishError, match="cannot be loaded"):
        publish(Publication(adapter, tmp_path / "made"), tmp_path / "cache")
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(PublishError, match=r"has no persona\.json"):
        publish(Publication(tmp_path, tmp_path / "made"), tmp_path / "cache")
    card = read_card(adapter)
    replace(card, base=replace(card.base, sha256="0" * 64)).write(adapter)
    with pytest.raises(PublishError, match="belongs to another base"):
        publish(Publication(adapter, tmp_path / "made"), tmp_path / "cache")


@pytest.mark.parametrize("merge", [True, False])
def test_the_hash_set_goes_with_the_checkpoint_and_is_not_made_up(tmp_path: Path, merge: bool) -> None:
    adapter = adapter_for(toy_llama(tmp_path / "llama"), tmp_path)
    out = publish(Publication(adapter, tmp_path / "without"), tmp_path / "cache")
    assert not (out / "copied.hashes").exists()
    card = read_card(adapter)
    CopiedLines.of(["one two three four five six seven eight nine"]).write(adapter)
    if not merge:
        replace(card, base=replace(card.base, name="ann/llama")).write(adapter)
    out = publish(Publication(adapter, tmp_path / "made", merge), tmp_path / "cache")
    assert (out / "copied.hashes").read_bytes() == (adapter / "copied.hashes").read_bytes()
    (adapter / "copied.hashes").write_bytes(b"ECHO")
    with pytest.raises(PublishError, match=r"copied\.hashes is damaged"):
        publish(Publication(adapter, tmp_path / "again", merge), tmp_path / "cache")
