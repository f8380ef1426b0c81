"""Corpora in ConvoKit's format, as scenes. The only file that knows ConvoKit.

ConvoKit unpickles metadata that `index.json` marks `bin`, so the index is read first and every
field that is not needed is left out, those above all.
"""

import contextlib
import functools
import hashlib
import importlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona.dialogue import Scene, Turn
from persona.lines import merge_runs, spoken

DIRECTIONS = "TRANSCRIPT_NOTE"
SPOKEN_AS = {"#ALL#": "Everybody", "unknown": "Somebody"}
_FILES = ("utterances.jsonl", "conversations.json", "speakers.json", "corpus.json", "index.json")
_EPISODE_FIELDS = ("season", "episode")
_INDEXED = {
    "utterances-index": "exclude_utterance_meta",
    "speakers-index": "exclude_speaker_meta",
    "conversations-index": "exclude_conversation_meta",
    "overall-index": "exclude_overall_meta",
}


class CorpusError(ValueError):
    """A corpus that is missing, empty or not in ConvoKit's format, in one sentence."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """The scenes of a corpus in the order of their ids; `sha256` is over the files they came from."""

    name: str
    sha256: str
    scenes: tuple[Scene, ...]

    def speakers(self) -> set[str]:
        """Return the names of everybody who speaks."""
        return {turn.name for scene in self.scenes for turn in scene.turns}


def load_corpus(name: str, cache: Path) -> Corpus:
    """Load a corpus folder, or download the ConvoKit corpus of that name; raises CorpusError."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _downloaded(name, cache)
    missing = [file for file in _FILES if not (folder / file).is_file()]
    if missing:
        raise CorpusError(f"{folder} is not in ConvoKit's format: it has no {missing[0]}")
    try:
        scenes = _scenes(folder, cache)
    except CorpusError:
        raise
    except Exception as error:  # ConvoKit raises whatever its parsing meets
        raise CorpusError(
            f"{folder} is not in ConvoKit's format: reading it failed with {type(error).__name__}"
        ) from error
    if not scenes:
        raise CorpusError(f"the corpus {folder} is empty: it has no conversation of two turns or more")
    return Corpus(folder.name, _checksum(folder), scenes)


def _scenes(folder: Path, cache: Path) -> tuple[Scene, ...]:
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    missing = [part for part in _INDEXED if not isinstance(index, dict) or not isinstance(index.get(part), dict)]
    if missing:
        raise CorpusError(f"{folder} is not in ConvoKit's format: its index.json has no table {missing[0]!r}")
    with _quiet_convokit(cache) as convokit:
        loaded = convokit.Corpus(filename=str(folder), backend="mem", **_left_out(index))
        turns: dict[str, list[Any]] = defaultdict(list)
        for utterance in loaded.iter_utterances():
            if not isinstance(utterance.speaker.id, str):
                raise CorpusError(f"{folder} is not in ConvoKit's format: utterance {utterance.id} has no speaker")
            turns[utterance.conversation_id].append(utterance)
        episodes = {key: _episode(loaded.get_conversation(key).meta, key) for key in turns}
    scenes = (_scene(key, episodes[key], turns[key]) for key in sorted(turns, key=_natural))
    return tuple(scene for scene in scenes if len(scene.turns) > 1)


def _scene(key: str, episode: str, utterances: list[Any]) -> Scene:
    if all(isinstance(one.timestamp, int | float) for one in utterances):
        ordered = sorted(utterances, key=lambda one: one.timestamp)
    else:
        ordered = sorted(utterances, key=lambda one: _natural(one.id))
    turns = (
        Turn(SPOKEN_AS.get(one.speaker.id, one.speaker.id), spoken(one.text or ""))
        for one in ordered
        if one.speaker.id != DIRECTIONS
    )
    return merge_runs(Scene(tuple(turns), key, episode))


def _episode(meta: Any, conversation: str) -> str:
    parts = [str(meta[field]) for field in _EPISODE_FIELDS if meta.get(field) is not None]
    return "_".join(parts) if meta.get("episode") is not None else conversation


def _left_out(index: Any) -> dict[str, list[str]]:
    """Name every metadata field but the plain season and episode, as ConvoKit's exclude arguments."""
    left_out = {}
    for part, argument in _INDEXED.items():
        wanted = _EPISODE_FIELDS if part == "conversations-index" else ()
        left_out[argument] = [field for field, kind in index[part].items() if field not in wanted or "bin" in kind]
    return left_out


@contextlib.contextmanager
def _quiet_convokit(cache: Path) -> Iterator[Any]:
    """Import ConvoKit with its prints on stderr and its configuration file in our cache folder."""
    with contextlib.redirect_stdout(sys.stderr):
        convokit = importlib.import_module("convokit")
        cache.mkdir(parents=True, exist_ok=True)
        # ConvoKit writes ~/.convokit/config.yml at its first use, says so at length, and offers no other place.
        file = cache / "convokit.yml"
        if not file.is_file():
            file.write_text("default_backend: mem\n", encoding="utf-8")
        config = functools.partial(convokit.ConvoKitConfig, str(file))
        for module in ("convokit.model.corpus", "convokit.util"):
            vars(importlib.import_module(module))["ConvoKitConfig"] = config
        yield convokit


def _downloaded(name: str, cache: Path) -> Path:
    if not re.fullmatch(r"[\w.-]+", name):
        raise CorpusError(f"there is no corpus folder {name}")
    target = cache / "corpora"
    if (target / name / "index.json").is_file():
        return target / name
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _quiet_convokit(cache) as convokit:
            return Path(convokit.download(name, data_dir=str(target)))
    except Exception as error:  # its HTTP libraries raise their own, and it raises plain strings
        raise CorpusError(
            f"there is no folder {name!r}, and ConvoKit's corpus of that name could not be downloaded "
            f"({type(error).__name__}): check the name and the network"
        ) from error


def _checksum(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in _FILES:
        digest.update((folder / file).read_bytes())
    return digest.hexdigest()


def _natural(key: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", key)]
