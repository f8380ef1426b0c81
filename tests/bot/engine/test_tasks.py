"""Candidates that would go in circles take another turn, unless the likeliest tokens were asked for."""

import math

import pytest
import torch

from bot.engine.protocol import Sampling
from bot.engine.sampling import Draw, Drawn, draw, draw_again, new_generator
from bot.engine.tasks import Generation
from persona.words import words_of

PIECES = ["no", ",", " no", " I", " know", ".", " ban", "ana", " well"]


def generation(said: str, temperature: float = 1.0) -> Generation:
    """Return a task whose only candidate has said the pieces of `said`, divided by bars."""
    task = Generation(
        [0], n=1, sampling=Sampling(temperature), longest=99, words_of=lambda token: words_of(PIECES[token])
    )
    for piece in filter(None, said.split("|")):
        task.take(0, Drawn(PIECES.index(piece), -1.0))
    return task


@pytest.mark.parametrize(
    ("said", "token", "circles"),
    [
        ("no|,| no|,", " no", True),
        ("no|,", " no", False),
        (" I| know|.| I| know|.| I", " know", True),
        (" I| know|.| I| know|.| I", " well", False),
        (" ban|ana| ban|ana| ban", "ana", True),
        ("no|,| no|,", ",", False),
        (" well| I| no| know| ban|ana| well| I| no| know| ban|ana| well| I| no| know| ban", "ana", True),
    ],
)
def test_the_third_time_in_a_row_is_one_too_many(said, token, circles):
    assert generation(said).goes_in_circles(0, PIECES.index(token)) is circles
    assert not generation(said, temperature=0).goes_in_circles(0, PIECES.index(token))


def test_what_is_drawn_instead_is_none_of_those_refused_and_as_likely_as_it_is():
    logits = torch.tensor([5.0, 4.0, 3.0, -1.0])
    row = Draw(Sampling(1.0, 1.0, 0.0), new_generator(0, 0))
    for _ in range(20):
        found = draw_again(logits, row, [0, 1])
        assert found.token in {2, 3}
        assert found.logprob == pytest.approx(float(logits[found.token] - logits.logsumexp(dim=0)))
    [sure] = draw(logits.unsqueeze(0), [Draw(Sampling(0), row.generator)])
    assert sure.token == 0
    assert sure.logprob == pytest.approx(math.log(float(logits.softmax(dim=0)[0])))
