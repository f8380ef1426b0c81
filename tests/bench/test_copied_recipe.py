"""The copied recipe stays what it is, faults included; what comes of it is a checkpoint like any other."""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from bench.copied_recipe.__main__ import Run, main, prepare
from bench.copied_recipe.held_out import CONTEXT, Asked, Line, bits_per_byte, held_out_lines, screenplay_of
from bench.copied_recipe.recipe import BATCH, BLOCK, EPOCHS, PREVIOUS, Recipe, Windows
from bot.engine.checkpoints import load_checkpoint, load_screenplay
from persona.card import read_card
from persona.dialogue import Scene, Turn
from persona.screenplay import EOS_NAMELESS, Screenplay
from tests.toys import toy_gpt2, toy_llama, toy_scenes, toy_tokenizer
from tests.training.conftest import write_corpus
from training.corpus import load_corpus
from training.held_out import choose_held_out

JOEY = {"Joey Tribbiani"}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return toy_tokenizer()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_gpt2(tmp_path_factory.mktemp("bases") / "gpt2")


@pytest.fixture(scope="module")
def nameless(base: Path) -> Screenplay:
    return load_screenplay(base, EOS_NAMELESS.name)


def test_a_window_is_eight_turns_of_whatever_scene_without_names(tokenizer: PreTrainedTokenizerFast) -> None:
    scenes = toy_scenes(2)
    windows = Windows(scenes, JOEY, tokenizer)
    assert len(windows) == 4, "Joey's first four lines have fewer than seven turns before them"
    said = [turn.text for scene in scenes for turn in scene.turns][8 - PREVIOUS : 9]
    expected = [token for text in said for token in [*tokenizer.encode(text), tokenizer.eos_token_id]]
    assert windows[0].tolist() == expected


def test_a_window_is_what_the_bot_would_say_behind_its_prompt(
    tokenizer: PreTrainedTokenizerFast, nameless: Screenplay
) -> None:
    turns = [turn for scene in toy_scenes(2) for turn in scene.turns]
    windows = Windows(toy_scenes(2), JOEY, tokenizer)
    for number, place in enumerate(range(8, 16, 2)):
        before, line = turns[place - PREVIOUS : place], turns[place]
        assert windows[number].tolist() == nameless.prompt(before, line.name, 1000) + nameless.said(line.text)


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


def test_a_run_gone_on_with_meets_the_same_batches(tokenizer: PreTrainedTokenizerFast) -> None:
    windows = Windows(toy_scenes(6), JOEY, tokenizer)
    whole = [[one.tolist() for one in batch] for batch in windows.batches(0)]
    assert len(whole) == windows.steps == 15
    for first in (0, 4, 5, 13, 15):
        assert [[one.tolist() for one in batch] for batch in windows.batches(0, first)] == whole[first:]
    assert len(list(windows.batches(0, 2, end=20))) == 18, "the recipe's max_steps may be more than its epochs have"


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
    assert Recipe(model, steps=100, padding=7).step([long, short]).loss != pytest.approx(float(expected), rel=1e-3)


def test_the_held_out_lines_are_always_the_same_in_the_order_of_the_transcript() -> None:
    scenes = toy_scenes(30)
    lines = held_out_lines(scenes, JOEY, count=20)
    assert lines == held_out_lines(scenes, JOEY, count=20)
    assert {line.turn.name for line in lines} == JOEY
    places = [(line.scene.id, line.place) for line in lines]
    assert len(set(places)) == 20
    assert places == sorted(places)


def test_a_line_is_asked_within_its_scene_in_both_formats(base: Path, nameless: Screenplay) -> None:
    scene, eos = toy_scenes(1)[0], nameless.end_id
    lines = held_out_lines([scene], JOEY)
    first = screenplay_of(lines[0], nameless)
    assert lines[0].place == 0
    assert first.context == [eos], "nothing of another scene stands before a scene's first line"
    assert first.said == [*nameless.tokenizer.encode(scene.turns[0].text), eos]
    last = screenplay_of(lines[-1], nameless)
    assert last.context.count(eos) == lines[-1].place
    ours = screenplay_of(lines[-1], load_screenplay(base))
    assert nameless.tokenizer.decode(ours.context).endswith("Joey Tribbiani:")
    long = Scene((Turn("Ann", "soup " * 900), Turn("Joey Tribbiani", "Hello there.")))
    assert len(screenplay_of(held_out_lines([long], JOEY)[0], nameless).context) == CONTEXT


def test_bits_a_byte_are_those_of_each_line_alone(base: Path, nameless: Screenplay) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    lines = held_out_lines(toy_scenes(3), JOEY)
    nats, size = 0.0, 0

    def short(line: Line) -> Asked:  # the toy reads 128 tokens at most
        asked = screenplay_of(line, nameless)
        return Asked(asked.context[-40:], asked.said)

    with torch.no_grad():
        for line in lines:
            context, said = short(line)
            logits = model.eval()(torch.tensor([context + said])).logits[0, len(context) - 1 : -1]
            nats += float(torch.nn.functional.cross_entropy(logits, torch.tensor(said), reduction="sum"))
            size += len(line.turn.text.encode())
    assert bits_per_byte(model, lines, short) == pytest.approx(nats / math.log(2) / size, rel=1e-5)


def short_scenes() -> tuple[Scene, ...]:
    """Scenes whose windows a toy GPT-2 can read, in two seasons of which the second is the test season."""
    names, words = ("Joey Tribbiani", "Ross Geller", "Ann"), ("Hello there", "I am fine", "the soup", "3 bowls")
    scenes = []
    for number in range(40):
        episode = f"s{'01' if number < 30 else '10'}_e{number:02d}"
        said = [words[(at + number) % 4] + (" of s10" if number >= 30 else "") for at in range(8)]
        turns = tuple(Turn(names[(at + number) % 3], f"{text}.") for at, text in enumerate(said))
        scenes.append(Scene(turns, f"{episode}_c01", episode))
    return tuple(scenes)


Ask = Callable[..., argparse.Namespace]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """What is asked of a short run in `out` on a toy GPT-2, dropout and all."""
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    corpus = write_corpus(tmp_path / "show-corpus", short_scenes())
    base = toy_gpt2(tmp_path / "toy")

    def asked(out: str, **changed: object) -> argparse.Namespace:
        plain = {
            "corpus": str(corpus), "base": str(base), "out": tmp_path / out, "minutes": 60.0, "max_steps": 6,
            "every": 1000.0, "seed": 0, "threads": 1, "leave_out": None,
        }  # fmt: skip
        (tmp_path / out).mkdir(exist_ok=True)
        return argparse.Namespace(**plain | changed)

    return asked


def go(asked: argparse.Namespace, steps: int | None = None) -> Run:
    """Do a run, interrupted after so many steps of this start."""
    run = prepare(asked, asked.out.parent / "cache")
    first = run.progress.step
    assert run.go(asked, lambda: run.progress.step - first == steps) == (steps is None)
    return run


def records(asked: argparse.Namespace) -> list[dict]:
    return [json.loads(line) for line in (asked.out / "log.jsonl").read_text().splitlines()]


def test_an_interrupted_run_ends_as_one_that_was_left_alone(ask: Ask) -> None:
    whole, cut = ask("whole"), ask("cut")
    alone = go(whole)
    go(cut, steps=2)
    go(cut, steps=3)
    last = go(cut)
    assert last.progress.step == alone.progress.step == 6
    assert (last.progress.tokens, last.progress.lines) == (alone.progress.tokens, alone.progress.lines)
    assert last.progress.losses == alone.progress.losses
    weights = [dict(run.recipe.model.named_parameters()) for run in (alone, last)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert [[one["step"], one.get("bits_per_byte")] for one in records(cut)] == [
        [one["step"], one.get("bits_per_byte")] for one in records(whole)
    ]


def test_time_counts_over_all_starts(ask: Ask) -> None:
    asked = ask("out")
    first = go(asked, steps=3)
    seconds, wall = first.progress.seconds, first.progress.wall
    again = go(ask("out", minutes=seconds / 60))
    assert again.progress.step == 3, "the minutes are spent"
    assert again.progress.seconds == seconds
    assert again.progress.wall > wall
    assert go(asked).progress.seconds > seconds


def test_a_run_that_is_done_does_nothing_again(ask: Ask) -> None:
    asked = ask("out")
    go(asked)
    before = records(asked)
    assert go(asked).progress.step == 6
    assert records(asked) == before


def test_what_was_done_behind_the_last_state_is_done_again(ask: Ask) -> None:
    asked = ask("out")
    go(asked, steps=2)
    with (asked.out / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "loss": 1.0}\n{"step": 5, "bits_per_byte": 9.0}\n{"step": 5, "lo')
    newest = sorted((asked.out / "states").glob("step-*"))[-1]
    (newest / "optimizer.pt").write_bytes(b"cut")
    go(asked)
    assert [one["step"] for one in records(asked)] == [0, 6]


def test_a_replacement_that_a_kill_cut_in_half_is_undone(ask: Ask) -> None:
    asked = ask("out")
    best = go(asked, steps=1).best
    (asked.out / "best").rename(asked.out / ".best-before")
    again = prepare(asked, asked.out.parent / "cache").best
    assert (again.figure, again.step) == (best.figure, best.step)
    assert (asked.out / "best" / "persona.json").is_file()


def test_a_run_gone_on_with_must_ask_for_the_same(ask: Ask) -> None:
    go(ask("out"), steps=1)
    with pytest.raises(SystemExit, match="was started with seed = 0, not 1: ask for the same, or give another --out"):
        go(ask("out", seed=1))
    (ask("old").out / "log.jsonl").write_text("")
    with pytest.raises(SystemExit, match="holds something else"):
        go(ask("old"))


def test_the_best_is_a_checkpoint_in_the_recipes_own_format(ask: Ask) -> None:
    asked = ask("out")
    run = go(asked)
    folder, cache = asked.out / "best", asked.out.parent / "cache"
    card = read_card(folder)
    assert (card.kind, card.format) == ("full", "eos-nameless")
    assert [one.id for one in card.characters] == ["joey", "ross"]
    assert (
        card.measures["validation_bits_per_byte"]
        == run.best.figure
        == min(one["bits_per_byte"] for one in records(asked) if "bits_per_byte" in one)
    )
    assert card.training["steps"] == run.best.step
    assert not list(folder.glob("*.bin"))
    loaded = load_checkpoint(folder, cache=cache, device="cpu", precision="fp32")
    assert loaded.screenplay.format is EOS_NAMELESS
    lines = run.best._lines
    served = bits_per_byte(loaded.model, lines, lambda line: screenplay_of(line, loaded.screenplay))
    assert served == pytest.approx(run.best.figure, rel=1e-5)
    assert "transformer.wte.weight" in load_file(folder / "model.safetensors")
    template = (folder / "chat_template.jinja").read_text()
    assert "messages[-7:]" in template
    assert "speaker" not in template


def test_the_card_says_what_was_held_out_and_the_test_season_is(ask: Ask) -> None:
    asked = ask("out")
    run = go(asked, steps=1)
    corpus = load_corpus(asked.corpus, asked.out.parent / "cache")
    card = read_card(asked.out / "best")
    sides = {side: choose_held_out(corpus, side, [card]) for side in ("validation", "test", "left-out", "all")}
    assert not any(one.note for one in sides.values()), "the card knows the corpus"
    assert sides["validation"].taught == {"Joey Tribbiani", "Ross Geller"}
    assert len(sides["left-out"].scenes) == 10
    assert {scene.episode[:3] for scene in sides["all"].scenes} == {"s01"}
    held_out = {scene.id for side in ("validation", "test") for scene in sides[side].scenes}
    assert held_out
    trained = [scene for scene in sides["all"].scenes if scene.id not in held_out]
    lines = sum(turn.name in sides["all"].taught for scene in trained for turn in scene.turns)
    assert lines - PREVIOUS <= len(run.windows) <= lines
    decode = run.best._exporter.screenplay.tokenizer.decode
    assert not any("s10" in decode(run.windows[at].tolist()) for at in range(len(run.windows)))


def test_a_corpus_without_the_test_season_is_taken_whole(ask: Ask, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "first-corpus", short_scenes()[:30])
    go(ask("out", corpus=str(corpus)), steps=1)
    assert read_card(tmp_path / "out" / "best").split["left_out"] == {"asked": [], "scenes": 0}
    with pytest.raises(ValueError, match="cannot leave out 'season=s10'"):
        go(ask("other", corpus=str(corpus), leave_out=["season=s10"]))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    corpus, base = write_corpus(tmp_path / "show-corpus", short_scenes()), toy_llama(tmp_path / "toy")
    words = ["--corpus", str(corpus), "--base", str(base), "--out", str(tmp_path / "out"), "--minutes", "9"]
    main([*words, "--max-steps", "2"])
    said = capsys.readouterr().out
    assert "padded with token 0" in said
    assert "bits a byte at step" in said
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.eos_token  # the embedded base has one, and the recipe takes it
    tokenizer.save_pretrained(base)
    main([*words, "--max-steps", "2"])
    assert f"padded with token {tokenizer.eos_token_id}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="there is no base"):
        main(["--corpus", str(corpus), "--base", "./nowhere", "--out", str(tmp_path / "new"), "--minutes", "9"])
