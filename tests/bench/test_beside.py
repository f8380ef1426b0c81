"""Two checkpoints read the same held-out lines, each in its own format; what either has learned is not asked."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.copied_recipe.__main__ import split_of
from bench.copied_recipe.beside import main
from bench.copied_recipe.best import card_of
from bench.copied_recipe.held_out import LINES, ROWS, bits_per_byte, held_out_lines, nats_by_line, screenplay_of
from bot.engine.bases import find_base
from bot.engine.checkpoints import load_base_model, load_checkpoint, load_screenplay
from persona.card import FILE_NAME
from persona.dialogue import Scene, Turn
from persona.screenplay import EOS_JOINED, EOS_NAMELESS
from tests.toys import toy_gpt2
from tests.training.conftest import write_corpus
from training.corpus import load_corpus
from training.export import Exporter
from training.readings import ReadingError, read_reading

NAMES, WORDS = ("Joey Tribbiani", "Ross Geller", "Ann"), ("Hello there.", "I am fine.", "The soup?", "3 bowls.")


def scenes() -> tuple[Scene, ...]:
    """Sixty episodes of eight short turns: a toy GPT-2 reads 128 tokens."""
    return tuple(
        Scene(
            tuple(Turn(NAMES[(at + number) % 3], WORDS[(at * number) % 4]) for at in range(8)),
            f"s01_e{number:02d}_c01",
            f"s01_e{number:02d}",
        )
        for number in range(60)
    )


class Show:
    """A corpus, and checkpoints whose cards know it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.place = write_corpus(folder / "show-corpus", scenes())
        self.corpus = load_corpus(str(self.place), self.cache)
        self.base = find_base(str(toy_gpt2(folder / "toy")), self.cache)

    def checkpoint(self, name: str, format_name: str, certainty: float = 1.0) -> Path:
        """Write a whole model as a checkpoint; one of more `certainty` is more certain of what is wrong."""
        model = load_base_model(self.base, torch.float32)
        with torch.no_grad():
            model.transformer.ln_f.weight *= certainty
        card = card_of(self.base, self.corpus, split_of(self.corpus, None), {})
        exporter = Exporter(self.base, load_screenplay(self.base.folder, format_name), card)
        exporter.write(model, self.folder / name, {}, {})
        self.change(self.folder / name, lambda card: card.update(format=format_name))
        return self.folder / name

    def change(self, checkpoint: Path, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the card of a checkpoint."""
        card = json.loads((checkpoint / FILE_NAME).read_text())
        change(card)
        (checkpoint / FILE_NAME).write_text(json.dumps(card))

    def beside(self, ours: Path, recipe: Path, *more: str) -> dict[str, Any]:
        """Return what the command writes."""
        file = self.folder / "beside.json"
        main(["--ours", str(ours), "--recipe", str(recipe), "--corpus", str(self.place), "--json", str(file), *more])
        return json.loads(file.read_text())


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    return Show(tmp_path)


def test_a_checkpoint_beside_itself_costs_the_same_and_more_than_itself_where_it_is_worse(show: Show) -> None:
    plain = show.checkpoint("plain", EOS_JOINED.name)
    same = show.beside(plain, plain)
    assert (same["ratio"], same["ratio_low"], same["ratio_high"]) == (1, 1, 1)
    worse = show.beside(show.checkpoint("worse", EOS_JOINED.name, certainty=50), plain)
    assert 1 < worse["ratio_low"] < worse["ratio"] < worse["ratio_high"]


def test_each_reads_the_lines_of_the_validation_side_in_its_own_format(
    show: Show, capsys: pytest.CaptureFixture
) -> None:
    ours, recipe = show.checkpoint("ours", EOS_JOINED.name), show.checkpoint("recipe", EOS_NAMELESS.name)
    found = show.beside(ours, recipe)
    lines = held_out_lines(split_of(show.corpus, None).validation, NAMES[:2], None)
    episodes = {line.scene.episode for line in lines}
    assert (found["lines"], found["episodes"]) == (len(lines), len(episodes))
    for name, folder in (("ours", ours), ("recipe", recipe)):
        loaded = load_checkpoint(folder, cache=show.cache, device="cpu", precision="fp32")
        figure = bits_per_byte(loaded.model, lines, lambda line: screenplay_of(line, loaded.screenplay))  # noqa: B023
        assert found[name]["bits_per_byte"] == pytest.approx(figure, rel=1e-6)
        nats, _, size = (sum(column) for column in zip(*found[name]["by_episode"].values(), strict=True))
        assert nats / math.log(2) / size == pytest.approx(figure, rel=1e-6)
        assert size == sum(line.size for line in lines)
    assert found["ours"]["bits_per_byte"] != found["recipe"]["bits_per_byte"]
    said = capsys.readouterr().out
    assert f"{len(lines)} replies of Joey Tribbiani and Ross Geller in {len(episodes)} validation episodes\n" in said
    assert f"({ours}, eos-joined)" in said
    assert f"({recipe}, eos-nameless)" in said
    assert f"ours / recipe: {found['ratio']:.4f} (95 % {found['ratio_low']:.4f} to {found['ratio_high']:.4f})" in said
    with pytest.raises(ReadingError):
        read_reading(show.folder / "beside.json")


def test_a_draw_is_the_one_that_the_runs_measure_themselves_by(show: Show) -> None:
    plain = show.checkpoint("plain", EOS_JOINED.name)
    validation = split_of(show.corpus, None).validation
    drawn = show.beside(plain, plain, "--lines", "10")
    loaded = load_checkpoint(plain, cache=show.cache, device="cpu", precision="fp32")
    figure = bits_per_byte(
        loaded.model, held_out_lines(validation, NAMES[:2], 10), lambda line: screenplay_of(line, loaded.screenplay)
    )
    assert drawn["lines"] == 10
    assert drawn["ours"]["bits_per_byte"] == pytest.approx(figure, rel=1e-6)
    assert show.beside(plain, plain, "--lines", "300")["lines"] == len(held_out_lines(validation, NAMES[:2]))


def test_the_nats_of_each_line_stand_at_its_place(show: Show) -> None:
    model, screenplay = load_base_model(show.base, torch.float32), load_screenplay(show.base.folder)
    asked = [screenplay_of(line, screenplay) for line in held_out_lines(scenes(), NAMES[:2], 3 * ROWS + 1)]
    together = nats_by_line(model, asked)
    assert together == pytest.approx([nats_by_line(model, [one])[0] for one in asked], rel=1e-5)
    assert len({one.tokens for one in asked}) > 1
    assert len(asked) < LINES


def test_a_checkpoint_that_has_learned_a_line_is_refused(show: Show) -> None:
    ours, recipe = show.checkpoint("ours", EOS_JOINED.name), show.checkpoint("recipe", EOS_NAMELESS.name)
    first, *others = sorted({scene.episode for scene in split_of(show.corpus, None).validation})
    show.change(recipe, lambda card: card["data"][0]["split"].update(validation=others))
    with pytest.raises(SystemExit, match=f"recipe has learned from {first} of show-corpus, which .*ours holds out"):
        show.beside(ours, recipe)
    show.change(recipe, lambda card: card["data"][0]["split"].update(test=[first]))
    assert show.beside(ours, recipe)["lines"], "what is held out for another purpose was not learned"
    show.change(ours, lambda card: card["data"][0].update(sha256="another"))
    assert "a corpus that its card does not know" in show.beside(ours, recipe)["title"]


def test_what_cannot_be_measured_is_told_in_a_sentence(show: Show, capsys: pytest.CaptureFixture) -> None:
    plain = show.checkpoint("plain", EOS_JOINED.name)
    with pytest.raises(SystemExit, match="is not a checkpoint"):
        show.beside(plain, show.folder)
    with pytest.raises(SystemExit, match=r"1 lines of .* are too few"):
        show.beside(plain, plain, "--lines", "1")
    for wrong in (["--lines", "0"], ["--json", str(show.folder / "nowhere" / "file.json")]):
        with pytest.raises(SystemExit):
            show.beside(plain, plain, *wrong)
    said = capsys.readouterr().err
    assert "--lines must be at least 1" in said
    assert "there is no folder" in said
    speech = " ".join(f"{bowls} bowls" for bowls in range(60))
    long = [Scene((*one.turns, Turn("Joey Tribbiani", speech)), one.id, one.episode) for one in scenes()]
    show.place = write_corpus(show.folder / "long-corpus", tuple(long))
    with pytest.raises(SystemExit, match="tokens, the base reads 128 at most"):
        show.beside(plain, plain)
