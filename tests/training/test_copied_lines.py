"""The hash set is made of the training scenes alone, by a run and for an older checkpoint alike."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from persona.card import BaseCard, Card, CardError, read_card
from persona.characters import friends
from persona.copied import FILE_NAME, CopiedLines
from persona.dialogue import Scene, Turn
from persona.words import words_of
from training.copied_lines import add_copied_lines, trained_scenes
from training.corpus import Corpus, CorpusError, load_corpus
from training.exchanges import load_exchanges
from training.split import split_scenes
from training.train import Options, train

Make = Callable[..., Path]
SHIPPED = Path(__file__).parents[2] / "models" / "friends"


def told_apart(prefix: str, episodes: int = 30) -> tuple[Scene, ...]:
    """Return a scene an episode, with lines of twelve words that stand in no other."""
    scenes = []
    for number in range(episodes):
        told = " ".join(f"{prefix}{number}{letter}" for letter in "abcdefghijkl")
        turns = (Turn("Ann", f"ann {told}"), Turn("Joey Tribbiani", f"joey {told}"), Turn("Ann", "Right."))
        scenes.append(Scene(turns, f"s01_e{number:02d}_c01", f"s01_e{number:02d}"))
    return tuple(scenes)


@pytest.fixture
def options(make_corpus: Make, gpt2: Path, tmp_path: Path) -> Options:
    corpora = str(make_corpus(told_apart("show"), "show")), str(make_corpus(told_apart("chat"), "chat"))
    return Options(
        corpora=corpora, base=str(gpt2), persona="joey", minutes=None, out=tmp_path / "run", cache=tmp_path / "cache",
        started=time.monotonic(), tokens=200, max_steps=2, rank=2, rehearse=False, train_share=0.5,
        leave_out=("episode=s01_e03",),
    )  # fmt: skip


def corpora_of(options: Options) -> list[Corpus]:
    return [load_corpus(one, options.cache) for one in options.corpora]


def test_a_run_writes_what_it_trains_on_and_the_card_tells_it_again(options: Options) -> None:
    folder = train(options, lambda line: None, lambda record: None)
    copied = CopiedLines.read(folder)
    assert copied is not None
    show, chat = corpora_of(options)
    split = split_scenes(show, options.leave_out)
    known = [scene for scene in show.scenes if copied.copies(scene.turns[1].text)]
    assert set(known) <= set(split.train)
    assert len(known) == len(split.train) // 2, "the share that was trained on"
    assert all(copied.copies(scene.turns[0].text) for scene in known), "whoever says it"
    assert [scene for scene in chat.scenes if copied.copies(scene.turns[0].text)] == list(split_scenes(chat).train)

    written = (folder / FILE_NAME).read_bytes()
    (folder / FILE_NAME).unlink()
    assert len(add_copied_lines(folder, [chat, show])) == len(copied)
    assert (folder / FILE_NAME).read_bytes() == written


def test_a_corpus_that_is_missing_or_another_one_is_named(options: Options, tmp_path: Path) -> None:
    show, chat = corpora_of(options)
    data: Any = [{"name": one.name, "sha256": one.sha256} for one in (show, chat)]
    card = Card(BaseCard("toy", "b1"), "chatml", "adapter", friends(), tuple(data))
    card.write(tmp_path)
    assert [len(scenes) for scenes in trained_scenes(card, (show, chat))] == [len(split_scenes(show).train)] * 2
    with pytest.raises(CorpusError, match="the corpus chat with the checksum 00ab, which is not among those given"):
        trained_scenes(replace(card, data=(data[0], {"name": "chat", "sha256": "00ab"})), (show, chat))
    with pytest.raises(CorpusError, match="does not say what it was trained on"):
        trained_scenes(replace(card, data=()), (show,))
    with pytest.raises(CorpusError, match="corpus chat"):
        add_copied_lines(tmp_path, [show])
    assert not (tmp_path / FILE_NAME).exists()
    with pytest.raises(CardError, match=r"has no persona\.json"):
        add_copied_lines(tmp_path / "nowhere", [show])


def test_the_shipped_checkpoint_knows_its_training_lines(show: Corpus) -> None:
    copied, card = CopiedLines.read(SHIPPED), read_card(SHIPPED)
    assert copied is not None, "models/friends ships with its hash set"
    assert len(copied) > 200_000
    exchanges = load_exchanges(None, card.characters)
    assert exchanges is not None
    known = {one["sha256"] for one in card.data}
    corpora = [one for one in (show, exchanges) if one.sha256 in known]  # exchanges may have been added since
    assert show in corpora
    partly = replace(card, data=tuple(one for one in card.data if one["sha256"] in {one.sha256 for one in corpora}))
    for scenes in trained_scenes(partly, corpora):
        texts = [turn.text for scene in scenes for turn in scene.turns if len(words_of(turn.text)) >= 8]
        assert all(copied.copies(text) for text in texts[::20])
    fresh = [turn.text for scene in split_scenes(show).validation for turn in scene.turns]
    assert sum(copied.copies(text) for text in fresh) < len(fresh) / 50
