"""Corpora that are no show: ConvoKit's other layouts, without episodes, with whatever ids and times."""

import json
from pathlib import Path
from typing import Any

import pytest

from persona.dialogue import Turn
from training.corpus import Corpus, load_corpus


def write(folder: Path, utterances: list[dict[str, Any]], meta: dict[str, Any] | None = None) -> Path:
    """Write utterances, with `meta` in every conversation, as ConvoKit does."""
    folder.mkdir()
    whole: dict[str, Any] = {"meta": {}, "reply-to": None, "timestamp": None, "vectors": []}
    (folder / "utterances.jsonl").write_text("".join(json.dumps(whole | one) + "\n" for one in utterances))
    conversations = {str(one["conversation_id"]): {"meta": meta or {}, "vectors": []} for one in utterances}
    (folder / "conversations.json").write_text(json.dumps(conversations))
    kinds = {field: ["<class 'str'>"] for field in meta or {}}
    index = {"utterances-index": {}, "speakers-index": {}, "conversations-index": kinds, "overall-index": {}}
    (folder / "index.json").write_text(json.dumps(index | {"version": 1, "vectors": []}))
    (folder / "speakers.json").write_text("{}")
    (folder / "corpus.json").write_text("{}")
    return folder


def loaded(tmp_path: Path, rows: list[tuple[Any, ...]], meta: dict[str, Any] | None = None, **more: Any) -> Corpus:
    """Load a corpus of (id, conversation, speaker, text[, timestamp[, reply-to]]) rows."""
    fields = ("id", "conversation_id", "speaker", "text", "timestamp", "reply-to")
    utterances = [dict(zip(fields, row, strict=False)) | more for row in rows]
    return load_corpus(str(write(tmp_path / "corpus", utterances, meta)), tmp_path)


def texts(corpus: Corpus) -> list[list[str]]:
    return [[turn.text for turn in scene.turns] for scene in corpus.scenes]


def test_a_film_runs_from_the_last_line_of_its_file_to_the_first(tmp_path: Path) -> None:
    rows = [
        ("L1045", "L1044", "u0", "They do not!", None, "L1044"),
        ("L1044", "L1044", "u2", "They do to!"),
        ("L985", "L984", "u0", "I hope so.", None, "L984"),
        ("L984", "L984", "u2", "She okay?"),
    ]
    meta = {"movie_idx": "m0", "movie_name": "10 things", "rating": "6.90", "genre": "['comedy']"}
    corpus = loaded(tmp_path, rows, meta)
    assert texts(corpus) == [["She okay?", "I hope so."], ["They do to!", "They do not!"]]
    assert corpus.unit == "conversation"
    assert corpus.seasons == {"L984": "", "L1044": ""}
    assert [scene.episode for scene in corpus.scenes] == ["L984", "L1044"]


def test_a_tree_of_replies_is_read_by_time(tmp_path: Path) -> None:
    rows = [
        ("zz1", "zz1", "op", "What is your favourite soup?", 1_500_000_000, None),
        ("aa9", "zz1", "[deleted]", "[deleted]", 1_500_000_010, "zz1"),
        ("aa7", "zz1", "mod", "[removed]", 1_500_000_011, "zz1"),
        ("bb2", "zz1", "later", "Onion (hot).", 1_500_000_900, "zz1"),
        ("aa1", "zz1", "soon", "Pea :)", 1_500_000_060, "zz1"),
        ("cc3", "zz1", "op", "Thanks, [soon].", 1_500_000_070, "aa1"),
    ]
    corpus = loaded(tmp_path, rows, {"subreddit": "soup"})
    assert texts(corpus) == [["What is your favourite soup?", "Pea :)", "Thanks, [soon].", "Onion (hot)."]]


def test_telephone_talk_goes_by_the_number_behind_the_conversation(tmp_path: Path) -> None:
    rows = [(f"4325-{at}", "4325-0", str(1632 - at % 2), f"Uh, number {at}. /") for at in reversed(range(12))]
    corpus = loaded(tmp_path, rows, {"topic_description": "CHILD CARE"})
    assert texts(corpus) == [[f"Uh, number {at}. /" for at in range(12)]]
    assert corpus.speakers() == {"1632", "1631"}


@pytest.mark.parametrize("kind", [int, float, str])
def test_times_are_read_as_numbers(tmp_path: Path, kind: type) -> None:
    rows = [(f"u{at}", "c", f"s{at % 2}", f"text {at}", kind(1000 - at)) for at in range(11)]
    assert texts(loaded(tmp_path, rows)) == [[f"text {at}" for at in reversed(range(11))]]


def test_utterances_of_one_moment_go_by_their_ids_and_so_do_those_with_a_time_missing(tmp_path: Path) -> None:
    same = [(f"u{at}", "a", f"s{at % 2}", f"text {at}", 5) for at in reversed(range(11))]
    missing = [(f"v{at}", "b", f"s{at % 2}", f"text {at}", None if at == 4 else 99 - at) for at in reversed(range(11))]
    assert texts(loaded(tmp_path, same + missing)) == [[f"text {at}" for at in range(11)]] * 2


def test_ids_may_be_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(at, at // 20 * 20, at % 2, f"text {at}") for at in reversed(range(40))]
    corpus = loaded(tmp_path, rows, {"episode": "e1"})
    assert texts(corpus) == [[f"text {at}" for at in range(20)], [f"text {at}" for at in range(20, 40)]]
    assert [scene.id for scene in corpus.scenes] == ["0", "20"]
    assert corpus.speakers() == {"0", "1"}
    assert {scene.episode for scene in corpus.scenes} == {"e1"}
    assert "WARNING" not in "".join(capsys.readouterr())


def test_code_comes_on_one_line_with_its_brackets(tmp_path: Path) -> None:
    code = "Sure:\n\n```\ndef half(one):\n    return one[: len(one) // 2]  # {half}\n```"
    corpus = loaded(tmp_path, [("a0", "a0", "asker", "half of a list?"), ("a1", "a0", "answerer", code)])
    said = "Sure: ``` def half(one): return one[: len(one) // 2] # {half} ```"
    assert corpus.scenes[0].turns[1] == Turn("answerer", said)
