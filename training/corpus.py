"""Corpora in ConvoKit's format, as scenes. The only file that knows ConvoKit.

ConvoKit unpickles metadata that `index.json` marks `bin`, so the index is read first and every
field that is not needed is left out, those above all. What was read is kept (`training.scenecache`),
since importing ConvoKit alone takes seconds.
"""

import contextlib
import functools
import hashlib
import importlib
import io
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from persona.dialogue import Scene
from training.conversations import CLEANING, Conversation, in_order, is_show, natural, scene_of
from training.scenecache import Parsed, read_parsed, write_parsed

Unit = Literal["episode", "conversation"]
Read = TypeVar("Read")
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
    """The scenes of a corpus in the order of their ids; `sha256` is over the files they came from.

    `unit` is what a split keeps whole: "conversation" where no conversation names its episode.
    `seasons` gives an episode's season, "" where the corpus does not say.
    """

    name: str
    sha256: str
    scenes: tuple[Scene, ...]
    unit: Unit = "episode"
    seasons: Mapping[str, str] = field(default_factory=dict)

    def speakers(self) -> set[str]:
        """Return the names of everybody who speaks."""
        return {turn.name for scene in self.scenes for turn in scene.turns}


def load_corpus(name: str, cache: Path) -> Corpus:
    """Load a corpus folder, or download the ConvoKit corpus of that name; raises CorpusError."""
    try:
        folder = find_corpus(name, cache)
        sha256 = _checksum(folder)
    except OSError as error:
        raise CorpusError(f"the corpus {name} cannot be read: {error.strerror or type(error).__name__}") from error
    kept = cache / "scenes" / f"{sha256}-{CLEANING}.jsonl"
    parsed = read_parsed(kept)
    if parsed is None:
        parsed = _guarded(_parsed, folder, cache)
        write_parsed(kept, parsed)
    if not parsed.scenes:
        raise CorpusError(f"the corpus {folder} is empty: it has no conversation of two turns or more")
    unit: Unit = "episode" if parsed.has_episodes else "conversation"
    return Corpus(folder.absolute().name, sha256, parsed.scenes, unit, parsed.seasons)


def find_corpus(name: str, cache: Path) -> Path:
    """Return a corpus's folder, the download of that name where there is none; raises CorpusError."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _downloaded(name, cache)
    missing = [file for file in _FILES if not (folder / file).is_file()]
    if missing:
        raise CorpusError(f"{folder} is not in ConvoKit's format: it has no {missing[0]}")
    return folder


def read_conversations(folder: Path, cache: Path) -> list[Conversation]:
    """Read all conversations of a corpus's folder, nothing left out; raises CorpusError."""
    return _guarded(_conversations, folder, cache)


def _guarded(read: Callable[[Path, Path], Read], folder: Path, cache: Path) -> Read:
    try:
        return read(folder, cache)
    except CorpusError:
        raise
    except Exception as error:  # ConvoKit raises whatever its parsing meets
        raise CorpusError(
            f"{folder} is not in ConvoKit's format: reading it failed with {type(error).__name__}"
        ) from error


def _parsed(folder: Path, cache: Path) -> Parsed:
    conversations = read_conversations(folder, cache)
    show = is_show(conversations)
    seasons: dict[str, str] = {}
    scenes: list[Scene] = []
    for conversation in conversations:
        scene = scene_of(conversation, show=show)
        if len(scene.turns) > 1:
            scenes.append(scene)
            seasons[scene.episode] = conversation.season
    return Parsed(tuple(scenes), show, seasons)


def _conversations(folder: Path, cache: Path) -> list[Conversation]:
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    missing = [part for part in _INDEXED if not isinstance(index, dict) or not isinstance(index.get(part), dict)]
    if missing:
        raise CorpusError(f"{folder} is not in ConvoKit's format: its index.json has no table {missing[0]!r}")
    # It warns once an utterance of what makes no difference here: ids that are numbers, speakers without metadata.
    with _quiet_convokit(cache) as convokit, contextlib.redirect_stdout(io.StringIO()):
        loaded = convokit.Corpus(filename=str(folder), backend="mem", **_left_out(index))
        turns: dict[str, list[Any]] = defaultdict(list)
        for utterance in loaded.iter_utterances():
            if utterance.speaker.id is None:
                raise CorpusError(f"{folder} is not in ConvoKit's format: utterance {utterance.id} has no speaker")
            turns[utterance.conversation_id].append(utterance)
        places = {key: _place(loaded.get_conversation(key).meta, index) for key in turns}
    return [Conversation(str(key), *places[key], in_order(turns[key])) for key in sorted(turns, key=natural)]


def _place(meta: Any, index: Any) -> tuple[str, str]:
    """Return the season and the episode's id of a conversation, "" where it names none."""
    kinds = index["conversations-index"]
    values = {field: meta.get(field) for field in _EPISODE_FIELDS if "bin" not in kinds.get(field, ())}
    parts = {field: str(value) for field, value in values.items() if value is not None}
    return parts.get("season", ""), "_".join(parts.values()) if "episode" in parts else ""


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
    for name in _FILES:
        with (folder / name).open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()
