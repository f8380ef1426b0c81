"""What a run learns from: its corpora, split, tokenized and weighed."""

import dataclasses
import random
from collections.abc import Collection, Sequence

from bot.engine.bases import Base
from persona.characters import Persona
from persona.dialogue import Scene
from persona.harmless import GUEST
from persona.screenplay import Screenplay
from training.answers import AnswersSampler
from training.contrast import SHARE as RIVAL_SHARE
from training.corpus import Corpus, CorpusError, load_corpus
from training.judged import Judged, judged_corpus, read_judged, split_judged
from training.mixture import Part, beside, parse_corpus, shares
from training.options import DEFAULT_MINUTES, Options
from training.preferences import JudgedSampler
from training.samples import Sampler
from training.split import Split, split_scenes
from training.tokenized import cached_screenplay, tokenizer_checksum
from training.validation import sample_tokens

_STEP_BOUND_MINUTES = 30.0  # what the validation sample counts on where steps bound a run


def load_corpora(options: Options) -> list[Corpus]:
    """Load every corpus asked for, the show first; raises CorpusError."""
    corpora = [load_corpus(parse_corpus(one)[0], options.cache) for one in options.corpora]
    names = [one.name for one in corpora]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise CorpusError(f"the corpus {twice} is given twice: name each corpus once, with its weight")
    return corpora


def some_training(split: Split, options: Options) -> Split:
    """Return the split with a fixed random share of its training scenes; what is held out stays."""
    return dataclasses.replace(split, train=some_scenes(split.train, options.train_share, options.seed))


def some_scenes(scenes: tuple[Scene, ...], share: float, seed: int) -> tuple[Scene, ...]:
    """Return a fixed random share of `scenes`, at least one."""
    if share == 1.0:
        return scenes
    chosen = random.Random(f"{seed}:share").sample(range(len(scenes)), max(1, round(share * len(scenes))))  # noqa: S311
    return tuple(scenes[at] for at in sorted(chosen))


def join_parts(
    options: Options,
    corpora: Sequence[Corpus],
    taught: tuple[Split, Collection[str] | None],
    source: tuple[Base, Screenplay],
    window: int,
) -> tuple[Part, ...]:
    """Join every corpus with its split and sampler, and weigh them.

    `taught` is the show's split and whose lines of it are learned, None for everybody's; outside
    the show everybody's are. `window` is in tokens.
    """
    (split, characters), (base, screenplay) = taught, source
    tokenizer = tokenizer_checksum(base.folder)
    parts = []
    for number, corpus in enumerate(corpora):
        turns = cached_screenplay(screenplay, corpus, options.cache, tokenizer)
        names = characters if number == 0 else None
        sampler = Sampler(
            turns, names, window=window, masked_share=options.masked_share, rival_share=rival_share(options)
        )
        parts.append((corpus, split if number == 0 else split_scenes(corpus), sampler))
    if len(parts) == 1:
        return (Part(*parts[0]),)
    weights = [parse_corpus(one)[1] for one in options.corpora]
    sizes = [0 if weights[0] else _learned(split, sampler) for _, split, sampler in parts]
    weighed = shares(weights, sizes, options.mixture_temperature)
    return tuple(Part(*one, share) for one, share in zip(parts, weighed, strict=True))


def rival_share(options: Options) -> float:
    """Return the share of the taught lines that are read again under another name."""
    return RIVAL_SHARE if options.contrast else 0.0


def with_exchanges(
    options: Options, parts: tuple[Part, ...], exchanges: Corpus, source: tuple[Base, Screenplay]
) -> tuple[Part, ...]:
    """Return `parts` with the exchanges beside them, which get their share of all steps.

    The stranger has another stranger's name in every pass (a masked share of 1 gives them one), and
    only the character's lines are taught. A rival's reading needs a scene of its own for each answer to a message.
    """
    base, screenplay = source
    show = parts[0].sampler
    turns = cached_screenplay(screenplay, exchanges, options.cache, tokenizer_checksum(base.folder))
    names = {turn.name for scene in exchanges.scenes for turn in scene.turns} - {GUEST}
    taught = names | (show.taught or frozenset())
    kind = Sampler if show.rival_share else AnswersSampler
    sampler = kind(turns, taught, window=show.window, masked_share=1.0, rival_share=show.rival_share)
    return beside(parts, Part(exchanges, split_scenes(exchanges), sampler, options.exchanges_share, stays=True))


def load_judged(options: Options, personas: Sequence[Persona]) -> tuple[Corpus, Sequence[Judged]] | None:
    """Return the judged replies of `personas` and their scenes as a corpus; None where none are asked for.

    Raises CorpusError.
    """
    if options.judged is None:
        return None
    judged = read_judged(options.judged, personas)
    return judged_corpus(judged), judged


def with_judged(options: Options, parts: tuple[Part, ...], read: tuple[Corpus, Sequence[Judged]]) -> tuple[Part, ...]:
    """Return `parts` with judged replies beside them, which get their share of all steps."""
    (corpus, judged), show = read, parts[0].sampler
    sampler = JudgedSampler(show.screenplay, judged, window=show.window)
    split = split_judged(corpus, options.judged)
    if not sampler.epoch(split.train, options.seed, 0):
        raise CorpusError(f"no message in {options.judged} leaves room for two of its replies: give a longer --context")
    return beside(parts, Part(corpus, split, sampler, options.judged_share, stays=True, own=True))


def _learned(split: Split, sampler: Sampler) -> int:
    return sum(sum(window.learned) for window in sampler.windows(split.train))


def validation_sample(options: Options, show: Part) -> int:
    """Return the tokens of the validation sample."""
    minutes = options.minutes or (_STEP_BOUND_MINUTES if options.max_steps else DEFAULT_MINUTES)
    windows = show.sampler.windows(show.split.train)
    return sample_tokens(minutes, options.validation_share, sum(map(len, windows)) / show.share)
