"""Reading ConvoKit's format: order, notes, episodes, and nothing unpickled."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from persona.dialogue import Scene, Turn
from tests.toys import toy_scenes
from training.corpus import Corpus, CorpusError, load_corpus

Make = Callable[..., Path]


def test_scenes_in_order_without_notes_and_directions(make_corpus: Make, tmp_path: Path) -> None:
    turns = (
        Turn("TRANSCRIPT_NOTE", "[Scene: a kitchen]"),
        Turn("Ann", "(to Ben) Hello."),
        Turn("Ann", "Anybody?"),
        Turn("#ALL#", "Hi!"),
        Turn("unknown", "(waves)"),
        Turn("Ben", "Soup [Time Lapse] is ready."),
    )
    folder = make_corpus((*toy_scenes(2), Scene(turns, "s01_e09_c01", "s01_e09")))
    scene = load_corpus(str(folder), tmp_path).scenes[-1]
    assert scene.episode == "s01_e09"
    assert [(one.name, one.text) for one in scene.turns] == [
        ("Ann", "Hello. Anybody?"),
        ("Everybody", "Hi!"),
        ("Ben", "Soup is ready."),
    ]


def test_without_episodes_a_conversation_is_the_unit(make_corpus: Make, tmp_path: Path) -> None:
    folder = make_corpus(**{"conversations-index": {}})
    corpus = load_corpus(str(folder), tmp_path)
    assert len({scene.episode for scene in corpus.scenes}) == len(corpus.scenes) == 12


def test_an_episode_has_a_season(make_corpus: Make, tmp_path: Path) -> None:
    corpus = load_corpus(str(make_corpus()), tmp_path)
    assert corpus.unit == "episode"
    assert corpus.seasons == {f"s01_e{number:02d}": "s01" for number in range(12)}


class Boom:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path(BOOM[0]),))  # type: ignore[return-value]


BOOM: list[str] = []


@pytest.mark.parametrize(
    ("part", "file"),
    [("utterances", "evil-bin.p"), ("speakers", "evil-speaker-bin.p"), ("conversations", "episode-convo-bin.p"),
     ("overall", "evil-overall-bin.p")],
)  # fmt: skip
def test_nothing_marked_binary_is_unpickled(make_corpus: Make, tmp_path: Path, part: str, file: str) -> None:
    import convokit  # the same field without our care: the plant is real

    field = file.split("-", maxsplit=1)[0]
    folder = make_corpus(**{f"{part}-index": {field: ["bin"]}})
    marker = tmp_path / "ran"
    BOOM[:] = [str(marker)]
    (folder / file).write_bytes(pickle.dumps([Boom()] * 200))
    _mark_binary(folder, part, field)
    corpus = load_corpus(str(folder), tmp_path)
    assert not any("bin" in scene.episode for scene in corpus.scenes)
    assert not marker.exists()
    if part != "overall":
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the planted value breaks
            raise _read_carelessly(convokit, folder)
    else:
        _read_carelessly(convokit, folder)
    assert marker.exists()


def _read_carelessly(convokit: object, folder: Path) -> Exception:
    try:
        convokit.Corpus(filename=str(folder))  # type: ignore[attr-defined]
    except Exception as error:
        return error
    return RuntimeError("read")


def _mark_binary(folder: Path, part: str, field: str) -> None:
    """Point every record's field at entry 0 of the pickle, as ConvoKit writes binary metadata."""
    pointer = f"<##bin{0}&&@**>"
    if part == "utterances":
        rows = [json.loads(line) for line in (folder / "utterances.jsonl").read_text().splitlines()]
        text = "".join(json.dumps(row | {"meta": {field: pointer}}) + "\n" for row in rows)
        (folder / "utterances.jsonl").write_text(text)
    elif part == "overall":
        (folder / "corpus.json").write_text(json.dumps({field: pointer}))
    else:
        path = folder / f"{part}.json"
        content = json.loads(path.read_text())
        for one in content.values():
            one["meta"][field] = pointer
        path.write_text(json.dumps(content))


def test_the_configuration_file_stays_in_our_cache(
    make_corpus: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_corpus(str(make_corpus()), tmp_path / "cache")
    assert (tmp_path / "cache" / "convokit.yml").is_file()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("file", ["index.json", "utterances.jsonl", "conversations.json"])
def test_a_missing_or_damaged_file_is_named(make_corpus: Make, tmp_path: Path, file: str) -> None:
    folder = make_corpus()
    (folder / file).write_text("{ not json")
    with pytest.raises(CorpusError, match="not in ConvoKit's format"):
        load_corpus(str(folder), tmp_path)
    (folder / file).unlink()
    with pytest.raises(CorpusError, match=f"it has no {file}"):
        load_corpus(str(folder), tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[]", "no table 'utterances-index'"),
        ('{"utterances-index": {}, "speakers-index": 1}', "no table 'speakers-index'"),
    ],
)
def test_a_malformed_index_is_said(make_corpus: Make, tmp_path: Path, content: str, complaint: str) -> None:
    folder = make_corpus()
    (folder / "index.json").write_text(content)
    with pytest.raises(CorpusError, match=complaint):
        load_corpus(str(folder), tmp_path)


def edit_utterances(folder: Path, change: dict[str, object]) -> None:
    """Change the first record; the others follow the old way."""
    first, *others = (folder / "utterances.jsonl").read_text().splitlines()
    (folder / "utterances.jsonl").write_text("\n".join([json.dumps(json.loads(first) | change), *others]) + "\n")


def test_an_utterance_without_a_speaker_is_said(make_corpus: Make, tmp_path: Path) -> None:
    folder = make_corpus()
    edit_utterances(folder, {"speaker": None})
    with pytest.raises(CorpusError, match="s01_e11_c01_u008 has no speaker"):
        load_corpus(str(folder), tmp_path)


def test_an_utterance_without_text_is_left_out_and_any_id_will_do(make_corpus: Make, tmp_path: Path) -> None:
    folder = make_corpus()
    edit_utterances(folder, {"text": None, "id": "s01_e11_c01_u008²"})
    assert [len(scene.turns) for scene in load_corpus(str(folder), tmp_path).scenes[-2:]] == [8, 7]


def test_an_empty_or_absent_corpus_is_refused(make_corpus: Make, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is empty"):
        load_corpus(str(make_corpus(())), tmp_path)
    with pytest.raises(CorpusError, match="there is no corpus folder"):
        load_corpus(str(tmp_path / "nowhere"), tmp_path)
    with pytest.raises(CorpusError, match="could not be downloaded"):
        load_corpus("no-such-corpus", tmp_path)


def test_the_show(show: Corpus) -> None:
    assert len(show.scenes) > 2_500
    assert "TRANSCRIPT_NOTE" not in show.speakers()
    assert {scene.episode[0] for scene in show.scenes} == {"s"}
    assert not any("[" in turn.text and "]" in turn.text for scene in show.scenes[:500] for turn in scene.turns)
    assert set(show.seasons.values()) == {f"s0{number}" for number in range(1, 10)}


def test_a_corpus_that_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"the corpus n+ cannot be read: File name too long"):
        load_corpus("n" * 300, tmp_path)
