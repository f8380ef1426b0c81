"""The copied recipe stays what it is, faults included, and both recipes are asked the same lines."""

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from bench.copied_recipe.held_out import CONTEXT, Asked, Line, bits_per_byte, eos_joined, held_out_lines, screenplay_of
from bench.copied_recipe.recipe import BATCH, BLOCK, EPOCHS, PREVIOUS, Recipe, Windows
from bot.engine.checkpoints import load_screenplay
from persona.dialogue import Scene, Turn
from tests.toys import toy_gpt2, toy_scenes, toy_tokenizer

JOEY = {"Joey Tribbiani"}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return toy_tokenizer()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_gpt2(tmp_path_factory.mktemp("bases") / "gpt2")


def test_a_window_is_eight_turns_of_whatever_scene_without_names(tokenizer: PreTrainedTokenizerFast) -> None:
    scenes = toy_scenes(2)
    windows = Windows(scenes, JOEY, tokenizer)
    assert len(windows) == 4, "Joey's first four lines have fewer than seven turns before them"
    said = [turn.text for scene in scenes for turn in scene.turns][8 - PREVIOUS : 9]
    expected = [token for text in said for token in [*tokenizer.encode(text), tokenizer.eos_token_id]]
    assert windows[0].tolist() == expected


def test_a_long_window_loses_its_beginning_and_never_the_line(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [Turn("Ann", "soup " * 100)] * PREVIOUS + [Turn("Joey Tribbiani", "Hello there.")]
    window = Windows([Scene(tuple(turns))], JOEY, tokenizer)[0].tolist()
    line = [*tokenizer.encode("Hello there."), tokenizer.eos_token_id]
    assert len(window) == BLOCK
    assert window[-len(line) :] == line


def test_an_epoch_meets_every_window_once_in_an_order_of_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    scenes = [Scene(tuple(Turn("Joey Tribbiani", str(number)) for number in range(PREVIOUS + 8)), "one", "one")]
    batches = list(Windows(scenes, JOEY, tokenizer).batches(seed=0))
    assert len(batches) == EPOCHS * 8 // BATCH
    epochs = [[tuple(window.tolist()) for batch in batches[first : first + 2] for window in batch] for first in (0, 2)]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert len(set(epochs[0])) == 8
    assert epochs[0] != epochs[1]
    again = list(Windows(scenes, JOEY, tokenizer).batches(seed=0))
    assert all(torch.equal(one, other) for one, other in zip(batches[0], again[0], strict=True))


def test_a_step_learns_everything_padding_included(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    long, short = torch.arange(1, 9), torch.arange(1, 4)
    padded = torch.stack([long, torch.cat([short, torch.zeros(5, dtype=torch.long)])])
    with torch.no_grad():
        logits = model(padded).logits[:, :-1]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), padded[:, 1:].flatten())
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    before = model.get_input_embeddings().weight.clone()
    read = Recipe(model, steps=100).step([long, short])
    assert read.loss == pytest.approx(float(expected), rel=1e-5)
    assert (read.tokens, read.positions, read.lines) == (11, 16, 2)
    assert not torch.equal(model.get_input_embeddings().weight, before)


def test_the_held_out_lines_are_always_the_same_in_the_order_of_the_transcript() -> None:
    scenes = toy_scenes(30)
    lines = held_out_lines(scenes, JOEY, count=20)
    assert lines == held_out_lines(scenes, JOEY, count=20)
    assert {line.turn.name for line in lines} == JOEY
    places = [(line.scene.id, line.place) for line in lines]
    assert len(set(places)) == 20
    assert places == sorted(places)


def test_a_line_is_asked_within_its_scene_in_both_formats(tokenizer: PreTrainedTokenizerFast, base: Path) -> None:
    scene = toy_scenes(1)[0]
    lines = held_out_lines([scene], JOEY)
    first = eos_joined(lines[0], tokenizer)
    assert lines[0].place == 0
    assert first.context == [tokenizer.eos_token_id], "nothing of another scene stands before a scene's first line"
    assert first.said == [*tokenizer.encode(scene.turns[0].text), tokenizer.eos_token_id]
    last = eos_joined(lines[-1], tokenizer)
    assert tokenizer.decode(last.context).count(tokenizer.eos_token) == lines[-1].place
    ours = screenplay_of(lines[-1], load_screenplay(base))
    assert tokenizer.decode(ours.context).endswith("Joey Tribbiani:")
    long = Scene((Turn("Ann", "soup " * 900), Turn("Joey Tribbiani", "Hello there.")))
    assert len(eos_joined(held_out_lines([long], JOEY)[0], tokenizer).context) == CONTEXT


def test_bits_a_byte_are_those_of_each_line_alone(base: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    lines = held_out_lines(toy_scenes(3), JOEY)
    nats, size = 0.0, 0

    def short(line: Line) -> Asked:  # the toy reads 128 tokens at most
        asked = eos_joined(line, tokenizer)
        return Asked(asked.context[-40:], asked.said)

    with torch.no_grad():
        for line in lines:
            context, said = short(line)
            logits = model.eval()(torch.tensor([context + said])).logits[0, len(context) - 1 : -1]
            nats += float(torch.nn.functional.cross_entropy(logits, torch.tensor(said), reduction="sum"))
            size += len(line.turn.text.encode())
    assert bits_per_byte(model, lines, short) == pytest.approx(nats / math.log(2) / size, rel=1e-5)
