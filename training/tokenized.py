"""Tokenized once: what a corpus says, as token ids, in memory for all epochs and on disk for all runs."""

import hashlib
from array import array
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from persona.dialogue import Turn
from persona.screenplay import Screenplay, Tokens
from training.conversations import CLEANING
from training.corpus import Corpus
from training.scenecache import keep

VERSION = 1
_SAMPLES = 32
_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model"),
)


class TokenizedTurns:
    """A screenplay that has read its texts before: `turn` gives the same tokens, only sooner.

    All ids lie in one tensor, (T,) int32, so a large corpus costs four bytes a token. A text that
    is not among them is tokenized when it comes.
    """

    def __init__(self, screenplay: Screenplay, texts: Iterable[str], ids: torch.Tensor, ends: torch.Tensor) -> None:
        self.screenplay = screenplay
        self._ids = ids
        bounds = ends.tolist()
        self._spans = dict(zip(texts, zip([0, *bounds], bounds, strict=False), strict=True))
        self._headers: dict[str, list[int]] = {}
        probe = Turn("", "")
        opening = len(screenplay.header(probe.name)) + len(screenplay.said(probe.text))
        self._after = screenplay.turn(probe, learned=False).ids[opening:]

    def header(self, name: str) -> list[int]:
        """Return the ids that open a turn of `name`."""
        found = self._headers.get(name)
        if found is None:
            found = self._headers[name] = self.screenplay.header(name)
        return list(found)

    def said(self, text: str) -> list[int]:
        """Return the ids of what is said, the end of turn included."""
        span = self._spans.get(text)
        if span is None:
            return self.screenplay.said(text)
        said: list[int] = self._ids[span[0] : span[1]].tolist()
        return said

    def turn(self, turn: Turn, *, learned: bool) -> Tokens:
        """Return one whole turn; where `learned`, its text and end of turn are marked."""
        header, said = self.header(turn.name), self.said(turn.text)
        marks = [False] * len(header) + [learned] * len(said) + [False] * len(self._after)
        return Tokens(header + said + self._after, marks)


def cached_screenplay(screenplay: Screenplay, corpus: Corpus, cache: Path, tokenizer_sha: str) -> TokenizedTurns:
    """Return the screenplay with every text of `corpus` tokenized, read from `cache` where it is there.

    What was kept for other files, another tokenizer or format, or is damaged, is made again.
    """
    key = f"{corpus.sha256}:{CLEANING}:{VERSION}:{tokenizer_sha}:{screenplay.format.name}"
    file = cache / "tokenized" / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
    texts = list(dict.fromkeys(turn.text for scene in corpus.scenes for turn in scene.turns))
    kept = _read(file, len(texts))
    if kept is not None:
        turns = TokenizedTurns(screenplay, texts, *kept)
        if all(turns.said(text) == screenplay.said(text) for text in texts[:: 1 + len(texts) // _SAMPLES]):
            return turns
    ids, ends = _tokenized(screenplay, texts)
    keep(file, save({"ids": ids, "ends": ends}, {"sha256": _checksum(ids, ends)}))
    return TokenizedTurns(screenplay, texts, ids, ends)


def tokenizer_checksum(folder: Path) -> str:
    """Return the SHA-256 over the tokenizer files of a base's folder."""
    digest = hashlib.sha256()
    for name in _TOKENIZER_FILES:
        if (folder / name).is_file():
            digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
    return digest.hexdigest()


def _tokenized(screenplay: Screenplay, texts: Iterable[str]) -> tuple[torch.Tensor, torch.Tensor]:
    ids, ends = array("i"), array("q")
    for text in texts:
        ids.extend(screenplay.said(text))
        ends.append(len(ids))
    return torch.tensor(ids, dtype=torch.int32), torch.tensor(ends, dtype=torch.int64)


def _read(file: Path, count: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return the ids of `count` texts and where each ends, None where the file is missing or damaged."""
    try:
        with safe_open(file, "pt") as opened:
            ids, ends = opened.get_tensor("ids"), opened.get_tensor("ends")
            whole = (opened.metadata() or {}).get("sha256") == _checksum(ids, ends)
    except (OSError, SafetensorError):
        return None
    return (ids, ends) if whole and len(ends) == count else None


def _checksum(ids: torch.Tensor, ends: torch.Tensor) -> str:
    return hashlib.sha256(ids.numpy().tobytes() + ends.numpy().tobytes()).hexdigest()
