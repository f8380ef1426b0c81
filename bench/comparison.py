"""Several models on the same held-out lines of several corpora: readings kept on disk, one table, paired intervals."""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.runs import Planned, describe, say, spent
from bot.engine.bases import SAFETENSORS, find_base, sha256_of
from bot.engine.checkpoints import ADAPTER, choose_device
from bot.settings import load_settings
from persona.characters import friends
from training.compare import Measuring
from training.corpus import load_corpus
from training.held_out import HeldOut
from training.readings import Ratio, Reading, ratio, read_reading
from training.report.runlog import read_run
from training.runfolder import replace_text
from training.split import split_scenes
from training.subjects import checkpoint, untouched

UNTOUCHED = "untouched base"
SHOW, CASUAL, TECHNICAL = "friends-corpus", "casual-corpus", "technical-corpus"
NEVER = "1000000"  # validations without a better score before a run stops early
INTERVALS = """\
Bits per byte of held-out lines, lower is better; "a / b" is by how much a differs from b, with a 95 % interval by
paired bootstrap over episodes (conversations), bold where it excludes zero.
"""
Readings = Mapping[str, Mapping[str, Reading]]  # by corpus, by model


@dataclass(frozen=True, slots=True)
class Contrast:
    """A claim to be: bits per byte of the model `ours` divided by those of `theirs`."""

    ours: str
    theirs: str


def compare(
    name: str, about: str, runs: Mapping[str, Planned], wanted: Sequence[Contrast], given: argparse.Namespace
) -> None:
    """Measure the base and every run on the three held-out sets; print OUT/NAME.md, and write it with OUT/NAME.json.

    Of `given` it takes corpora, out, base and threads. Ends the program where a run is not done.
    """
    unfinished = next((run.folder for run in runs.values() if not run.is_done()), None)
    if unfinished:
        raise SystemExit(f"the run in {unfinished} is not done: nothing can be compared yet")
    torch.set_num_threads(given.threads)
    cache = load_settings().cache_dir
    lines = [held_out(given.corpora / one, cache, is_show=one == SHOW) for one in (SHOW, CASUAL, TECHNICAL)]
    models = {UNTOUCHED: None, **{one: run.model for one, run in runs.items()}}
    readings = read_all(models, lines, given.out / "readings", (given.base, cache))
    costs = {one: spent(read_run(run.folder)) for one, run in runs.items()}
    told = "".join(f"- {describe(one, cost)}\n" for one, cost in costs.items())
    asked = {key: str(value) for key, value in vars(given).items()}
    write(
        given.out,
        name,
        f"{INTERVALS}\n{about}\n{markdown(readings, wanted)}\n{told}",
        {"asked": asked, "runs": costs, "corpora": as_json(readings, wanted)},
    )


def held_out(folder: Path, cache: Path, *, is_show: bool) -> HeldOut:
    """Return the validation side of a corpus: the friends' lines of the show, everybody's of any other."""
    corpus = load_corpus(str(folder), cache)
    taught = frozenset(one.name for one in friends()) & corpus.speakers() if is_show else None
    return HeldOut(corpus, "validation", split_scenes(corpus).validation, taught)


def read_all(
    models: Mapping[str, Path | None], lines: Sequence[HeldOut], kept: Path, where: tuple[str, Path]
) -> dict[str, dict[str, Reading]]:
    """Return what every model reads in every corpus, by corpus and model; None is the untouched base.

    `where` names the base and the cache. A reading that is in `kept` already is not made again.
    """
    base, cache = where
    kept.mkdir(parents=True, exist_ok=True)
    readings: dict[str, dict[str, Reading]] = {one.corpus.name: {} for one in lines}
    for name, model in models.items():
        weights = _weights(find_base(base, cache, say).folder if model is None else model)
        for one in lines:
            key = hashlib.sha256(f"{weights}:{one.corpus.sha256}:{one.side}:{one.who}".encode()).hexdigest()[:16]
            file = kept / f"{one.corpus.name}-{key}.json"
            if not file.is_file():
                subject = untouched(find_base(base, cache)) if model is None else checkpoint(model, cache)
                [reading] = Measuring(one, [subject], choose_device("auto"), cache).read()
                replace_text(file, json.dumps(reading.to_mapping() | {"model": name}, indent=1) + "\n")
            readings[one.corpus.name][name] = read_reading(file)
            say(f"{name}, {one.corpus.name}: {readings[one.corpus.name][name].total.bits_per_byte:.4f} bits per byte")
    return readings


def contrasts(readings: Readings, wanted: Sequence[Contrast]) -> dict[str, list[tuple[Contrast, Ratio]]]:
    """Return the ratios of all contrasts by corpus."""
    return {corpus: [(one, ratio(of[one.ours], of[one.theirs])) for one in wanted] for corpus, of in readings.items()}


def markdown(readings: Readings, wanted: Sequence[Contrast]) -> str:
    """Return bits per byte of each model and every contrast as a table, one column a corpus."""
    names = list(next(iter(readings.values())))
    heads = [f"{corpus} ({next(iter(of.values())).measured})" for corpus, of in readings.items()]
    rows = [["bits per byte, held out", *heads], ["---", *("--:" for _ in heads)]]
    rows += [[name, *(f"{of[name].total.bits_per_byte:.4f}" for of in readings.values())] for name in names]
    found = contrasts(readings, wanted)
    rows += [
        [f"{one.ours} / {one.theirs}", *(in_percent(of[number][1]) for of in found.values())]
        for number, one in enumerate(wanted)
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def in_percent(found: Ratio) -> str:
    """Return a ratio as a difference with its interval; bold where the interval excludes zero."""
    value, low, high = (f"{100 * (one - 1):+.1f}" for one in found)
    told = f"{value} % ({low} to {high})"
    return f"**{told}**" if found.low > 1 or found.high < 1 else told


def write(out: Path, name: str, text: str, content: dict[str, Any]) -> None:
    """Print a result and write it as OUT/NAME.md and OUT/NAME.json."""
    print(text)
    replace_text(out / f"{name}.md", text)
    replace_text(out / f"{name}.json", json.dumps(content, indent=1) + "\n")


def as_json(readings: Readings, wanted: Sequence[Contrast]) -> dict[str, Any]:
    """Return bits per byte by corpus and model, and every contrast with its interval."""
    found = contrasts(readings, wanted)
    return {
        corpus: {
            "measured": next(iter(of.values())).measured,
            "episodes": len(next(iter(of.values())).by_episode),
            "bits_per_byte": {name: one.total.bits_per_byte for name, one in of.items()},
            "ratios": [{"ours": one.ours, "theirs": one.theirs, **two._asdict()} for one, two in found[corpus]],
        }
        for corpus, of in readings.items()
    }


def _weights(folder: Path) -> str:
    """Return the SHA-256 of a checkpoint's weights, or a base's."""
    adapter = folder / ADAPTER
    return sha256_of(adapter if adapter.is_file() else folder / SAFETENSORS)
