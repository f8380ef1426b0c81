"""A checkpoint of ours and one of the copied recipe on the same held-out lines: bits per byte of both, and their ratio.

`python -m bench.copied_recipe.beside --ours DIR --recipe DIR --corpus DIR [--lines N] [--json FILE]`, where DIR of the
recipe is its run's OUT/best. The lines are those of the characters that ours was taught, in the validation episodes of
its card: all of them, or the N that both runs measure themselves by (`--lines 300`). A checkpoint that has learned from
one of these episodes is refused. Each model reads a line in its card's format, in fp32, behind up to 400 tokens of the
line's own scene as the bot would cut them: whole turns, of a last turn that is longer its end. In the recipe's format
that is the seven turns before the line, without names, as many as its windows have, but never of the scene before as
there; where a scene begins, one end of turn stands for them. A line costs the nats of its text and its end of turn,
over the UTF-8 bytes of the text. The interval is that of `echochamber compare`: 95 %, by paired bootstrap over
episodes.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.copied_recipe.held_out import CONTEXT, Line, held_out_lines, nats_by_line, screenplay_of
from bot.engine.bases import BaseError
from bot.engine.checkpoints import CheckpointError
from bot.engine.shipped import checkpoint_folder
from bot.settings import load_settings
from persona.card import Card, CardError, read_card
from persona.screenplay import FormatError
from training.corpus import Corpus, CorpusError, load_corpus
from training.held_out import HeldOut, choose_held_out, learned_scenes
from training.measures import Sums
from training.readings import Ratio, Reading, plain, ratio
from training.runfolder import replace_text
from training.subjects import Subject, checkpoint
from training.words import joined

SIDE = "validation"


class Found(NamedTuple):
    """A checkpoint's folder and card."""

    folder: Path
    card: Card


class Beside(NamedTuple):
    """What ours and the recipe's checkpoint read; `title` says which lines that was, `ratio` is ours / recipe."""

    title: str
    lines: int
    found: tuple[Found, Found]
    readings: tuple[Reading, Reading]
    ratio: Ratio

    def sentences(self) -> str:
        """Return what people read."""
        both = [
            f"{name}: {reading.total.bits_per_byte:.4f} bits per byte ({one.folder}, {one.card.format})\n"
            for name, one, reading in zip(("ours", "recipe"), self.found, self.readings, strict=True)
        ]
        value, low, high = self.ratio
        return f"{self.title}\n{''.join(both)}ours / recipe: {value:.4f} (95 % {low:.4f} to {high:.4f})"

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields; an episode's are its nats, learned tokens and bytes.

        `ratio_of_files` refuses them: `echochamber compare` lets a model read other contexts.
        """
        ours, recipe = (
            {
                "model": str(one.folder),
                "format": one.card.format,
                "bits_per_byte": reading.total.bits_per_byte,
                "by_episode": plain(reading.by_episode),
            }
            for one, reading in zip(self.found, self.readings, strict=True)
        )
        episodes = len(self.readings[0].by_episode)
        told = {"title": self.title, "lines": self.lines, "episodes": episodes, "context": CONTEXT}
        ratios = {"ratio": self.ratio.value, "ratio_low": self.ratio.low, "ratio_high": self.ratio.high}
        return told | {"ours": ours, "recipe": recipe} | ratios


def measure(asked: argparse.Namespace, cache: Path) -> Beside:
    """Read the lines with one checkpoint after the other; raises what `main` tells in a sentence."""
    ours, recipe = (Found(folder, read_card(folder)) for folder in map(checkpoint_folder, (asked.ours, asked.recipe)))
    corpus = load_corpus(asked.corpus, cache)
    held_out = unlearned(corpus, ours, recipe)
    lines = held_out_lines(held_out.scenes, held_out.taught or corpus.speakers(), asked.lines)
    episodes = {line.scene.episode for line in lines}
    if len(episodes) < 2:
        raise CorpusError(
            f"{len(lines)} lines of {held_out.who} in {len(episodes)} {SIDE} {corpus.unit}s of {corpus.name} are too "
            "few: how much a figure varies cannot be told from them"
        )
    subjects = [checkpoint(one.folder, cache) for one in (ours, recipe)]
    about = corpus.name, corpus.sha256, SIDE, held_out.who
    mine, theirs = (Reading(*about, _read(subject, lines)) for subject in subjects)
    title = held_out.title(len(lines), len(episodes))
    return Beside(title, len(lines), (ours, recipe), (mine, theirs), ratio(mine, theirs))


def unlearned(corpus: Corpus, ours: Found, recipe: Found) -> HeldOut:
    """Return the validation side of our card; raises CorpusError where a checkpoint has learned from some of it.

    Of a corpus that its card does not know, a checkpoint is taken to have learned what the split's rule gives.
    """
    held_out = choose_held_out(corpus, SIDE, [ours.card])
    asked = {scene.episode for scene in held_out.scenes}
    for folder, card in (ours, recipe):
        learned = asked & {scene.episode for scene in learned_scenes(corpus, card)}
        if learned:
            raise CorpusError(
                f"{folder} has learned from {joined(sorted(learned))} of {corpus.name}, which {ours.folder} holds out: "
                "the two cannot be measured on the same lines"
            )
    return held_out


def _read(subject: Subject, lines: Sequence[Line]) -> dict[str, Sums]:
    """Return what the lines cost by episode; the model is in memory for no longer."""
    asked = [screenplay_of(line, subject.screenplay) for line in lines]
    model = subject.load()
    room, longest = getattr(model.config, "max_position_embeddings", math.inf), max(one.tokens for one in asked)
    if longest > room:
        raise CheckpointError(f"a line and what stands before it are {longest} tokens, the base reads {room} at most")
    costs = nats_by_line(model, asked)
    return _by_episode(
        (line, Sums(nats, len(one.said), line.size)) for line, one, nats in zip(lines, asked, costs, strict=True)
    )


def _by_episode(costs: Iterable[tuple[Line, Sums]]) -> dict[str, Sums]:
    totals: dict[str, Sums] = defaultdict(Sums)
    for line, cost in costs:
        totals[line.scene.episode] += cost
    return dict(totals)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", type=Path, required=True, help="a checkpoint, or the run that made it")
    parser.add_argument("--recipe", type=Path, required=True, help="the checkpoint beside it, in whatever format")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--lines", type=int, help="so many, always the same ones; all of the side if not given")
    parser.add_argument("--json", type=Path, help="write the measures, by episode too, into this file")
    asked = parser.parse_args(given)
    if asked.lines is not None and asked.lines < 1:
        parser.error(f"--lines must be at least 1, not {asked.lines}")
    if asked.json and not asked.json.parent.is_dir():
        parser.error(f"there is no folder {asked.json.parent} to write {asked.json.name} into")
    return asked


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, and write the file."""
    asked = _arguments(given)
    try:
        found = measure(asked, load_settings().cache_dir)
    except (BaseError, CardError, CheckpointError, CorpusError, FormatError) as error:
        raise SystemExit(str(error)) from None
    print(found.sentences(), flush=True)
    if asked.json:
        try:
            replace_text(asked.json, json.dumps(found.to_mapping(), indent=1) + "\n")
        except OSError as error:
            raise SystemExit(f"cannot write {asked.json}: {error.strerror or error}") from None


if __name__ == "__main__":
    main()
