"""Exchanges: what ships is whole, files of one's own are checked, and only the character's lines are taught."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_screenplay
from persona.card import read_card
from persona.characters import Persona, friends
from persona.harmless import GUEST, guest_name, harmless
from training.corpus import Corpus, CorpusError
from training.exchanges import load_exchanges
from training.materials import join_parts, load_corpora, with_exchanges
from training.mixture import Part
from training.options import Options
from training.samples import STRANGERS
from training.split import split_scenes
from training.stream import Cursor, Diet, Stream
from training.train import TrainingError, train

JOEY = "Joey Tribbiani"
Make = Callable[..., Path]


def quiet(_: Any) -> None:
    return


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "talk"
    made.mkdir()
    talks = [f'["Soup number {at}?", "Number {at} is mine.", "All of it?", "All {at} bowls."]' for at in range(40)]
    (made / "joey.toml").write_text(f"conversations = [{', '.join(talks)}]", encoding="utf-8")
    return made


@pytest.fixture
def options(make_corpus: Make, gpt2: Path, tmp_path: Path, folder: Path) -> Options:
    return Options(
        corpora=(str(make_corpus()),), base=str(gpt2), persona="joey", minutes=None, out=tmp_path / "run",
        cache=tmp_path / "cache", started=time.monotonic(), tokens=200, max_steps=6, rank=2, exchanges=folder,
        exchanges_share=0.5, rehearse=False,
    )  # fmt: skip


def test_the_six_have_exchanges_that_could_be_typed_and_said() -> None:
    corpus = load_exchanges(None, friends())
    assert corpus is not None
    assert corpus.unit == "conversation"
    lines = Counter(scene.turns[1].name for scene in corpus.scenes)
    assert set(lines) == {one.name for one in friends()}
    assert min(lines.values()) >= 200
    for scene in corpus.scenes:
        assert [turn.name for turn in scene.turns] == [GUEST, scene.turns[1].name] * (len(scene.turns) // 2)
        assert all(turn.text == " ".join(turn.text.split()) for turn in scene.turns)
        assert all(harmless(turn.text) == turn.text for turn in scene.turns[1::2])
    said = Counter(turn.text.casefold() for scene in corpus.scenes for turn in scene.turns[1::2])
    assert sum(times > 1 for times in said.values()) < len(said) / 100


def test_personas_of_another_show_have_none() -> None:
    assert load_exchanges(None, [Persona("dana", "Dana")]) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("conversations = [", "cannot read the exchanges in .*joey.toml"),
        ("lines = []", "joey.toml needs a list `conversations`"),
        ('conversations = [["Hi."]]', "joey-0001 in .*joey.toml must be a list of texts, a stranger's and Joey Trib"),
        ('conversations = [["a", "b"], ["Hi.", " "]]', "joey-0002"),
        ('conversations = [["Hi.", 3]]', "joey-0001"),
        ("conversations = [[]]", "joey-0001"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "joey.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=sentence):
        load_exchanges(tmp_path, friends())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("conversations = []", "everyone.toml needs a list `messages`"),
        ('messages = ["Hi."]', "message everyone-0001 in .*everyone.toml must be a table with what was `said`"),
        ('messages = [{ joey = "Hi." }]', "everyone-0001"),
        ('messages = [{ said = "Hi.", joey = "Hey." }, { said = "Hi.", joey = 3 }]', "everyone-0002-joey"),
        ('messages = [{ said = " ", ross = "Hey." }]', "everyone-0001-ross"),
    ],
)
def test_messages_for_everyone_that_are_none_are_refused_with_their_place(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "everyone.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=sentence):
        load_exchanges(tmp_path, friends())


def test_a_message_for_everyone_is_answered_by_those_who_do_and_is_held_out_for_all_of_them(tmp_path: Path) -> None:
    text = (
        'messages = [{ said = "Soup?", ross = "Leek, actually.", joey = "Two." }, { said = "Hi.", monica = "Shoes." }]'
    )
    (tmp_path / "everyone.toml").write_text(text, encoding="utf-8")
    corpus = load_exchanges(tmp_path, friends())
    assert corpus is not None
    assert [[turn.text for turn in scene.turns] for scene in corpus.scenes] == [
        ["Soup?", "Two."],
        ["Soup?", "Leek, actually."],
        ["Hi.", "Shoes."],
    ]
    assert [scene.episode for scene in corpus.scenes] == ["everyone-0001", "everyone-0001", "everyone-0002"]
    assert len({scene.id for scene in corpus.scenes}) == 3
    joey = load_exchanges(tmp_path, friends()[:1])
    assert joey is not None
    assert [scene.turns[1].text for scene in joey.scenes] == ["Two."]


def test_a_folder_without_any_is_refused(options: Options, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"has no exchanges: there is no joey\.toml in it"):
        train(replace(options, exchanges=tmp_path), quiet, quiet)


def test_exchanges_that_would_not_be_read_are_refused(options: Options) -> None:
    with pytest.raises(TrainingError, match="--exchanges needs --exchanges-share"):
        train(replace(options, exchanges_share=0.0), quiet, quiet)
    with pytest.raises(TrainingError, match="there are no exchanges for these characters"):
        train(replace(options, exchanges=None, persona="Ann"), quiet, quiet)


def parts_of(options: Options) -> tuple[Corpus, tuple[Part, ...]]:
    exchanges = load_exchanges(options.exchanges, friends())
    assert exchanges is not None
    base = find_base(options.base, options.cache)
    source = (base, load_screenplay(base.folder))
    corpora = load_corpora(options)
    parts = join_parts(options, corpora, (split_scenes(corpora[0]), {JOEY}), source, 100)
    return exchanges, with_exchanges(options, parts, exchanges, source)


def test_they_get_their_share_to_the_end_and_teach_the_character_alone(options: Options) -> None:
    exchanges, parts = parts_of(options)
    assert [part.share for part in parts] == [0.5, 0.5]
    diet = Diet(parts, 200, seed=0)
    for cooling in (False, True):
        stream = iter(Stream(diet, Cursor(), lambda step, cooling=cooling: cooling))
        drawn = Counter(next(stream).corpus for _ in range(200))
        assert 70 < drawn[exchanges.name] < 130
    screenplay = load_screenplay(find_base(options.base, options.cache).folder)
    windows = parts[1].sampler.epoch(parts[1].split.train, 0, 0)
    assert len(windows) == len(parts[1].split.train)
    texts = [screenplay.tokenizer.decode(window.ids) for window in windows]
    assert not any(text.startswith(GUEST + ":") for text in texts[: len(texts) // 3] if GUEST not in STRANGERS)
    assert len({text.split(":")[0] for text in texts}) > 10
    for window in windows:
        learned = [one for one, mark in zip(window.ids, window.learned, strict=True) if mark]
        assert "Number" in screenplay.tokenizer.decode(learned)
        assert "Soup" not in screenplay.tokenizer.decode(learned)


def test_a_run_says_what_it_learned_from_and_goes_on_only_with_the_same(options: Options, folder: Path) -> None:
    told: list[str] = []
    card = read_card(train(options, told.append, quiet))
    assert [one["name"] for one in card.data] == ["toy-corpus", "exchanges"]
    assert [one["weight"] for one in card.data] == [0.5, 0.5]
    assert card.training["exchanges"] == card.data[1]["sha256"]
    assert any(line.startswith("Teaching Joey Tribbiani from toy-corpus, exchanges") for line in told)
    for changed in (replace(options, exchanges=None, exchanges_share=0.0), replace(options, exchanges_share=0.2)):
        with pytest.raises(TrainingError, match=r"started with exchanges_share = 0\.5, not"):
            train(replace(changed, resume=True, max_steps=8), quiet, quiet)
    (folder / "joey.toml").write_text('conversations = [["a", "b"], ["c", "d"], ["e", "f"]]', encoding="utf-8")
    with pytest.raises(TrainingError, match="started with exchanges = "):
        train(replace(options, resume=True, max_steps=8), quiet, quiet)


def test_a_stranger_in_an_exchange_is_named_like_one_in_a_chat() -> None:
    assert all(guest_name(name, friends()) == name for name in STRANGERS)
