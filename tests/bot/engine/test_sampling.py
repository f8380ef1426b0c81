"""Drawing: against the definitions, over many draws."""

import torch

from bot.engine.protocol import Sampling
from bot.engine.sampling import Draw, draw, new_generator

SHARES = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03])
LOGITS = SHARES.log() + 3


def counts(sampling: Sampling, logits: torch.Tensor = LOGITS, times: int = 4000) -> torch.Tensor:
    """Return how often each token comes, as shares."""
    rows = [Draw(sampling, new_generator(1, at)) for at in range(times)]
    drawn = [one.token for one in draw(logits.expand(times, -1), rows)]
    return torch.bincount(torch.tensor(drawn), minlength=len(logits)) / times


def close(found: torch.Tensor, expected: list[float]) -> bool:
    wanted = torch.tensor(expected)
    return bool(((found == 0) == (wanted == 0)).all()) and torch.allclose(found, wanted, atol=0.03)


def test_tokens_come_as_often_as_they_are_likely():
    assert close(counts(Sampling(temperature=1.0, top_p=1.0)), SHARES.tolist())


def test_a_low_temperature_sharpens():
    squared = SHARES.square() / SHARES.square().sum()
    found = counts(Sampling(temperature=0.5, top_p=1.0))
    assert torch.allclose(found, squared, atol=0.03)


def test_greedy_takes_the_likeliest():
    assert counts(Sampling(temperature=0), times=50).tolist() == [1, 0, 0, 0, 0]


def test_top_p_keeps_up_to_and_with_the_token_that_reaches_it():
    assert close(counts(Sampling(temperature=1.0, top_p=0.7)), [2 / 3, 1 / 3, 0, 0, 0])
    assert close(counts(Sampling(temperature=1.0, top_p=0.8)), [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0, 0])


def test_min_p_is_a_share_of_the_likeliest():
    assert close(counts(Sampling(temperature=1.0, top_p=1.0, min_p=0.2)), [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0, 0])


def test_a_long_tail_is_looked_at_whole():
    flat = torch.zeros(1000)
    rows = [Draw(Sampling(temperature=1.0, top_p=1.0), new_generator(1, at)) for at in range(2000)]
    drawn = [one.token for one in draw(flat.expand(2000, -1), rows)]
    assert len(set(drawn)) > 800


def test_rows_draw_each_its_own_way_and_know_their_probability():
    rows = [Draw(Sampling(temperature=0), new_generator(1, 0)), Draw(Sampling(temperature=2.0), new_generator(1, 1))]
    first, second = draw(torch.stack([LOGITS, LOGITS.flip(0)]), rows)
    assert first.token == 0
    assert abs(first.logprob - SHARES[0].log().item()) < 1e-5
    assert abs(second.logprob - SHARES.flip(0)[second.token].log().item()) < 1e-5


def test_a_draw_does_not_depend_on_its_neighbours():
    alone = draw(LOGITS.unsqueeze(0), [Draw(Sampling(), new_generator(4, 2))])
    rows = [Draw(Sampling(temperature=1.5), new_generator(9, at)) for at in range(3)]
    beside = draw(LOGITS.expand(4, -1), [*rows, Draw(Sampling(), new_generator(4, 2))])
    assert beside[3] == alone[0]


def test_candidates_of_one_seed_differ():
    assert len({torch.rand((), generator=new_generator(5, at)).item() for at in range(20)}) == 20
