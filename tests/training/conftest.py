"""Small corpora in ConvoKit's layout, of our own words, and the show's where it is at hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona.dialogue import Scene
from tests.toys import toy_gpt2, toy_scenes
from training.corpus import Corpus, load_corpus

FRIENDS = Path(__file__).parents[3] / "shared" / "corpora" / "friends-corpus"


def write_corpus(folder: Path, scenes: tuple[Scene, ...], **index: Any) -> Path:
    """Write scenes as ConvoKit does: utterances with null timestamps, season and episode as metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    utterances, conversations, speakers = [], {}, {}
    for scene in scenes:
        first = f"{scene.id}_u001"
        conversations[first] = {"meta": {"season": scene.episode[:3], "episode": scene.episode[4:]}, "vectors": []}
        for number, turn in enumerate(scene.turns, start=1):
            speakers[turn.name] = {"meta": {}, "vectors": []}
            utterances.append(
                {
                    "id": f"{scene.id}_u{number:03d}", "conversation_id": first, "text": turn.text,
                    "speaker": turn.name, "meta": {}, "reply-to": None, "timestamp": None, "vectors": [],
                }
            )  # fmt: skip
    kinds = {"season": ["<class 'str'>"], "episode": ["<class 'str'>"]}
    whole = {"utterances-index": {}, "speakers-index": {}, "conversations-index": kinds, "overall-index": {}}
    (folder / "index.json").write_text(json.dumps(whole | {"version": 1, "vectors": []} | index))
    (folder / "utterances.jsonl").write_text("".join(json.dumps(one) + "\n" for one in reversed(utterances)))
    (folder / "conversations.json").write_text(json.dumps(conversations))
    (folder / "speakers.json").write_text(json.dumps(speakers))
    (folder / "corpus.json").write_text("{}")
    return folder


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Path]:
    def make(scenes: tuple[Scene, ...] | None = None, name: str = "toy-corpus", **index: Any) -> Path:
        return write_corpus(tmp_path / name, toy_scenes() if scenes is None else scenes, **index)

    return make


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_gpt2(tmp_path_factory.mktemp("bases") / "gpt2")


@pytest.fixture
def friends_corpus() -> Path:
    if not FRIENDS.is_dir():
        pytest.skip("the show's corpus is not on this machine")
    return FRIENDS


@pytest.fixture(scope="session")
def show(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The show's corpus, read once for all tests."""
    if not FRIENDS.is_dir():
        pytest.skip("the show's corpus is not on this machine")
    return load_corpus(str(FRIENDS), tmp_path_factory.mktemp("show"))
