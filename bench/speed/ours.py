"""What the measurements of our training share: how a run is asked for, and how many tokens a line costs it."""

import time
from pathlib import Path
from typing import Any

import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_screenplay
from bot.settings import load_settings
from persona.characters import friends
from training.corpus import load_corpus
from training.options import Options
from training.samples import Sampler
from training.split import Split, split_by_episode

FOREVER = 1e6  # minutes
Record = dict[str, Any]


def cache() -> Path:
    """Return the cache folder that the program itself uses."""
    return load_settings().cache_dir


def asked(corpus: str, base: str, out: Path, **changes: Any) -> Options:
    """Return the options of `echochamber train` with its defaults, all friends taught, but for `changes`."""
    given: dict[str, Any] = {"corpora": (corpus,), "base": base, "persona": "all", "minutes": None, "out": out}
    return Options(**given | {"cache": cache(), "started": time.monotonic()} | changes)


def taught() -> set[str]:
    """Return the names of the six friends."""
    return {one.name for one in friends()}


def split_of(corpus: str) -> Split:
    """Return the corpus's split, the same for every recipe."""
    return split_by_episode(load_corpus(corpus, cache()).scenes)


def tokens_a_line(options: Options, split: Split) -> float:
    """Return the tokens that our stream reads for each line it teaches, over one pass.

    A line counts once, in the window whose mask learns it; windows without one are never read.
    """
    screenplay = load_screenplay(find_base(options.base, options.cache).folder)
    sampler = Sampler(screenplay, taught(), masked_share=options.masked_share)
    windows = sampler.epoch(split.train, options.seed, 0)
    return sum(map(len, windows)) / sum(window.replies for window in windows)


def set_threads(threads: int | None) -> None:
    """Compute on so many threads; None leaves all cores to torch."""
    if threads:
        torch.set_num_threads(threads)
    print(f"{torch.get_num_threads()} threads", flush=True)


def say(sentence: str) -> None:
    """Print a sentence of the run."""
    print(sentence, flush=True)
