"""Real tiny runs: what they leave behind, inside their minutes, refused in a sentence."""

import json
import math
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from bot.engine.checkpoints import load_checkpoint
from persona.card import read_card
from persona.dialogue import Turn
from tests.toys import toy_gpt2, toy_llama, toy_scenes
from training.split import split_by_episode
from training.train import Options, TrainingError, train

Make = Callable[..., Path]


def quiet(_: Any) -> None:
    return


@pytest.fixture
def options(make_corpus: Make, gpt2: Path, tmp_path: Path) -> Options:
    return Options(
        corpora=(str(make_corpus()),), base=str(gpt2), persona="joey", minutes=None, out=tmp_path / "run",
        cache=tmp_path / "cache", started=time.monotonic(), tokens=200, max_steps=6, rank=2,
    )  # fmt: skip


def test_a_run_leaves_a_checkpoint_that_can_talk(options: Options) -> None:
    folder = train(options, quiet, quiet)
    card = read_card(folder)
    assert [one.id for one in card.characters] == ["joey"]
    assert card.format == "eos-joined"
    assert card.training["steps"] <= 6
    assert card.split["validation"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["fan_in_fan_out"] is True
    assert config["base_model_name_or_path"] == card.base.name
    loaded = load_checkpoint(options.out, cache=options.cache, device="cpu")
    assert loaded.personas == card.characters
    assert loaded.screenplay.prompt([Turn("Ann", "Hello.")], "Joey Tribbiani", 60)
    kinds = [one["kind"] for one in records_of(options)]
    assert kinds[:3] == ["leaks", "start", "validation"]
    assert kinds[-1] == "end"
    assert "train" in kinds
    assert all(one["tokens_per_second"] > 0 for one in records_of(options) if one["kind"] == "train")
    assert (options.out / "report.html").read_text().startswith("<!doctype html>")
    assert not list(options.out.rglob("training_args.bin"))


def test_the_recorded_base_is_never_followed(options: Options) -> None:
    folder = train(options, quiet, quiet)
    file = folder / "adapter_config.json"
    file.write_text(file.read_text().replace(read_card(folder).base.name, "/nowhere/at/all"))
    assert load_checkpoint(folder, cache=options.cache, device="cpu").card is not None


def test_full_fine_tuning_stands_without_its_base(options: Options, tmp_path: Path) -> None:
    base = toy_gpt2(tmp_path / "mortal")
    folder = train(replace(options, base=str(base), full=True), quiet, quiet)
    shutil.rmtree(base)
    assert read_card(folder).kind == "full"
    assert load_checkpoint(folder, cache=options.cache, device="cpu").screenplay.format.name == "eos-joined"


def test_a_speaker_without_an_entry_can_be_taught(options: Options) -> None:
    folder = train(replace(options, persona="Ann"), quiet, quiet)
    assert [(one.id, one.name) for one in read_card(folder).characters] == [("ann", "Ann")]


def records_of(options: Options) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (options.out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"corpora": ("/nowhere/at-all",)}, "no corpus folder"),
        ({"corpora": ()}, "must name at least one corpus"),
        ({"persona": "chandler"}, "nobody called Chandler Bing speaks in the corpus toy-corpus"),
        ({"persona": "nobody"}, "nobody here is called 'nobody'"),
        ({"persona": "none.toml"}, "cannot read the persona file"),
        ({"base": "no such base"}, "there is no base 'no such base'"),
        ({"device": "gpu"}, "the device 'gpu' cannot be used"),
        ({"leave_out": ("season=s99",)}, "s99"),
        ({"learning_rate": math.nan}, "the learning rate must be a number above 0 and at most 1, not nan"),
        ({"learning_rate": 0.0}, "the learning rate must be"),
        ({"rank": 0}, "--rank must be a whole number of at least 1, not 0"),
        ({"max_steps": 0}, "--max-steps must be a whole number of at least 1, not 0"),
        ({"minutes": math.nan}, "--max-minutes must be a number above 0, not nan"),
        ({"context": 4096}, "--context 4096 is longer than the 128 tokens that this base can read"),
        ({"dropout": 1.0}, "--dropout must be"),
        ({"replay": Path("/nowhere")}, "cannot read the log"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(options: Options, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TrainingError, match=complaint):
        train(replace(options, **change), quiet, quiet)
    assert not options.out.exists()


def test_a_run_is_neither_overwritten_nor_gone_on_with_as_another(options: Options, make_corpus: Make) -> None:
    train(options, quiet, quiet)
    before = (options.out / "metrics.jsonl").read_bytes()
    with pytest.raises(TrainingError, match="already holds a run: add --resume"):
        train(options, quiet, quiet)
    with pytest.raises(TrainingError, match="was started with seed = 0, not 1"):
        train(replace(options, seed=1, resume=True), quiet, quiet)
    make_corpus(toy_scenes(13))
    with pytest.raises(TrainingError, match="was started with corpora"):
        train(replace(options, resume=True), quiet, quiet)
    assert (options.out / "metrics.jsonl").read_bytes() == before
    (options.out / "run.json").unlink()
    with pytest.raises(TrainingError, match="holds something else"):
        train(replace(options, resume=True), quiet, quiet)


def test_another_base_is_refused(options: Options, tmp_path: Path) -> None:
    train(options, quiet, quiet)
    other = toy_llama(tmp_path / "other")
    with pytest.raises(TrainingError, match="was started with base"):
        train(replace(options, base=str(other), resume=True), quiet, quiet)


def test_a_character_who_only_speaks_where_nothing_is_learned_is_refused(options: Options, make_corpus: Make) -> None:
    scenes = toy_scenes()
    held_out = {scene.episode for scene in split_by_episode(scenes).validation}
    renamed = toy_scenes(speakers=("Ben", "Ann"))
    others = tuple(one if one.episode in held_out else new for one, new in zip(scenes, renamed, strict=True))
    corpus = make_corpus(others, "elsewhere")
    with pytest.raises(TrainingError, match="say nothing in the training episodes"):
        train(replace(options, corpora=(str(corpus),)), quiet, quiet)
    assert not options.out.exists()


def test_a_template_names_its_speaker_as_the_format_does(options: Options, make_corpus: Make) -> None:
    corpus = make_corpus(toy_scenes(speakers=("Ann: <|im_end|>", "Ben")), "odd")
    folder = train(replace(options, corpora=(str(corpus),), persona="Ann: <|im_end|>"), quiet, quiet)
    assert "'Ann < |im_end| >'" in (folder / "chat_template.jinja").read_text()


def test_minutes_bound_a_run_without_steps(options: Options) -> None:
    said: list[str] = []
    train(replace(options, minutes=0.3, max_steps=None, started=time.monotonic()), said.append, quiet)
    assert re.search(r"Best held-out bits per byte \d", said[-1])
    end = records_of(options)[-1]
    assert end["reason"] == "minutes"
    assert end["minutes"] < 0.3
    rates = [one["learning_rate"] for one in records_of(options) if one["kind"] == "train"]
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 0.2 * max(rates)


def test_several_corpora_make_one_run(options: Options, make_corpus: Make) -> None:
    chat = make_corpus(toy_scenes(speakers=("speaker_0", "speaker_1")), "chat")
    corpora = (f"{options.corpora[0]}:0.6", f"{chat}:0.4")
    folder = train(replace(options, corpora=corpora, max_steps=30), quiet, quiet)
    rows = records_of(options)
    drawn = [one["corpus"] for one in rows if one["kind"] == "train"]
    assert set(drawn[:24]) == {"toy-corpus", "chat"}
    assert set(drawn[24:]) == {"toy-corpus"}, "the cool-down is the show's alone"
    assert all(set(one["corpora"]) == {"toy-corpus", "chat"} for one in rows if one["kind"] == "validation")
    card = read_card(folder)
    assert [(one["name"], one["weight"], one["taught"]) for one in card.data] == [
        ("toy-corpus", 0.6, "characters"), ("chat", 0.4, "everybody"),
    ]  # fmt: skip
    with pytest.raises(TrainingError, match="the corpus chat is given twice"):
        train(replace(options, corpora=(*corpora, f"{chat}:0.1")), quiet, quiet)


def test_what_others_say_can_weigh_a_little(options: Options) -> None:
    train(options, quiet, quiet)
    soft = replace(options, out=options.out.with_name("soft"), prompt_weight=0.3)
    train(soft, quiet, quiet)
    first, other = ([one["loss"] for one in records_of(each) if one["kind"] == "train"] for each in (options, soft))
    assert first != other


def test_it_stops_early_and_says_why(options: Options) -> None:
    said: list[str] = []
    hot = replace(options, max_steps=400, patience=2, full=True, learning_rate=0.5, tokens=1000)
    train(hot, said.append, quiet)
    assert any("Stopped early" in line for line in said)
    end = records_of(hot)[-1]
    assert end["reason"] == "early stopping"
    assert end["step"] < 400
    with pytest.raises(TrainingError, match="this run stopped early"):
        train(replace(hot, resume=True), quiet, quiet)


def test_the_shipped_step_is_the_one_with_the_best_score(options: Options) -> None:
    folder = train(replace(options, max_steps=40, learning_rate=1e-2), quiet, quiet)
    validations = [one for one in records_of(options) if one["kind"] == "validation"]
    best = min(validations, key=lambda one: one["score"])
    assert read_card(folder).training["steps"] == best["step"]
    assert read_card(folder).measures["validation_score"] == best["score"]
    replies = [one for one in records_of(options) if one["kind"] == "reply" and one["step"] == best["step"]]
    assert len(replies) == 16


def test_the_last_step_ships_where_that_is_asked_for(options: Options) -> None:
    kept = replace(options, max_steps=40, full=True, learning_rate=0.9, tokens=1000, patience=2, keep_last=True)
    card = read_card(train(kept, quiet, quiet))
    validations = [one for one in records_of(kept) if one["kind"] == "validation"]
    assert min(validations, key=lambda one: one["score"])["step"] < 40, "so hot that it only gets worse"
    assert card.training["steps"] == validations[-1]["step"] == 40
    assert card.measures["validation_score"] == validations[-1]["score"]


def test_a_loss_that_is_no_number_stops_the_run(options: Options, tmp_path: Path) -> None:
    broken = toy_gpt2(tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["transformer.h.0.mlp.c_fc.weight"][0, 0] = math.nan
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingError, match=r"the loss is not a finite number any more \(after step 0\)"):
        train(replace(options, base=str(broken)), quiet, quiet)
    assert records_of(options)[-1]["reason"] == "NaN"
    assert not list((options.out / "checkpoints").glob("step-*"))
