"""Bases in the hub's layouts: converted once, and nothing unpickled but plain weights."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from bot.engine.bases import BaseError, find_base
from bot.engine.checkpoints import CheckpointError, load_base_model, load_screenplay
from tests.toys import toy_gpt2


def test_the_old_layout_is_converted_once_and_means_the_same(tmp_path: Path) -> None:
    new, old = toy_gpt2(tmp_path / "new"), toy_gpt2(tmp_path / "old", pickled=True)
    assert {"pytorch_model.bin", "vocab.json", "merges.txt"} <= {file.name for file in old.iterdir()}
    base = find_base(str(old), tmp_path / "cache")
    assert (base.folder / "model.safetensors").is_file()
    assert not (base.folder / "pytorch_model.bin").exists()
    assert find_base(str(old), tmp_path / "cache").folder == base.folder
    converted = load_base_model(base, torch.float32).state_dict()
    original = AutoModelForCausalLM.from_pretrained(new).state_dict()
    assert all(torch.equal(converted[key], original[key]) for key in original)
    ids = load_screenplay(base.folder).said("Hello there, soup!")
    assert ids == load_screenplay(new).said("Hello there, soup!")


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (Path(MARKER[0]),))


MARKER: list[str] = []


def test_a_malicious_pickle_is_refused_and_never_runs(tmp_path: Path) -> None:
    folder = toy_gpt2(tmp_path / "evil", pickled=True)
    MARKER[:] = [str(tmp_path / "ran")]
    torch.save({"weight": Malicious()}, folder / "pytorch_model.bin")
    with pytest.raises(BaseError, match="refused: it holds something other than plain weights"):
        find_base(str(folder), tmp_path / "cache")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(BaseError, match="refused"):
        find_base(str(folder), tmp_path / "cache")
    assert not (tmp_path / "ran").exists()
    torch.save([1, 2], folder / "pytorch_model.bin")
    with pytest.raises(BaseError, match="not a table of named weights"):
        find_base(str(folder), tmp_path / "cache")


def test_what_is_no_base_is_said(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="give 'embedded', an existing folder, or a hub id"):
        find_base("nothing", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BaseError, match=r"no config\.json"):
        find_base(str(tmp_path / "empty"), tmp_path)
    folder = toy_gpt2(tmp_path / "bare")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BaseError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        find_base(str(folder), tmp_path)


def test_a_large_model_in_shards_is_read_and_its_lack_said(tmp_path: Path) -> None:
    folder = toy_gpt2(tmp_path / "large")
    whole = load_base_model(find_base(str(folder), tmp_path), torch.float32)
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="50KB")
    shards = sorted(folder.glob("model-*-of-*.safetensors"))
    assert len(shards) > 1
    base = find_base(str(folder), tmp_path)
    assert find_base(str(folder), tmp_path).card == base.card
    again = load_base_model(base, torch.float32).state_dict()
    assert all(torch.equal(again[key], value) for key, value in whole.state_dict().items())
    shards[0].unlink()
    with pytest.raises(BaseError, match="lacks parts of its weights"):
        find_base(str(folder), tmp_path)


def test_weights_that_are_missing_are_not_drawn_at_random(tmp_path: Path) -> None:
    folder = toy_gpt2(tmp_path / "half", pickled=True)
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save({key: one for key, one in weights.items() if ".h.1." not in key}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"incomplete: transformer\.h\.1\..* is missing"):
        load_base_model(find_base(str(folder), tmp_path / "cache"), torch.float32)


def test_a_tokenizer_without_its_vocabulary_is_refused_until_it_is_mended(tmp_path: Path) -> None:
    folder = toy_gpt2(tmp_path / "mute", pickled=True)
    vocabulary = {name: (folder / name).read_bytes() for name in ("vocab.json", "merges.txt")}
    for name in vocabulary:
        (folder / name).unlink()
    with pytest.raises(BaseError, match=r"the tokenizer in .* cannot be loaded"):
        find_base(str(folder), tmp_path / "cache")
    for name, content in vocabulary.items():
        (folder / name).write_bytes(content)
    mended = find_base(str(folder), tmp_path / "cache")
    assert len(load_screenplay(mended.folder).said("Hello there")) > 2
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_head": 4}))
    assert find_base(str(folder), tmp_path / "cache").folder != mended.folder


def test_an_unreachable_hub_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BaseError, match=r"the hub cannot be reached to download 'microsoft/DialoGPT-small'"):
        find_base("microsoft/DialoGPT-small", tmp_path)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    folder = toy_gpt2(tmp_path / "old", pickled=True)
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(BaseError, match="cannot write the unpacked base"):
        find_base(str(folder), tmp_path / "cache")


def test_what_an_interrupted_unpacking_left_is_no_base(tmp_path: Path) -> None:
    folder = toy_gpt2(tmp_path / "old", pickled=True)
    base = find_base(str(folder), tmp_path / "cache")
    half = base.folder.with_name(".making-half")
    shutil.copytree(base.folder, half / "base")
    shutil.rmtree(base.folder)
    again = find_base(str(folder), tmp_path / "cache")
    assert json.loads((again.folder / "config.json").read_text())["model_type"] == "gpt2"
