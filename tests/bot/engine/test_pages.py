"""Memory that is taken when it is written to, and given back row by row."""

import psutil
import torch

from bot.engine.pages import Pages


def test_only_what_is_written_takes_memory_and_it_can_be_given_back():
    process = psutil.Process()
    before = process.memory_info().rss
    pages = Pages((64, 2**20), torch.zeros(1))
    assert pages.tensor.sum() == 0
    pages.tensor[:] = 1
    full = process.memory_info().rss
    assert full - before > 200 * 2**20
    for row in range(0, 64, 2):
        pages.give_back(row)
    assert full - process.memory_info().rss > 100 * 2**20
    assert pages.tensor[0].sum() == 0
    assert pages.tensor[1].sum() == 2**20


def test_rows_that_share_a_page_with_others_lose_nothing_of_theirs():
    pages = Pages((10, 1000), torch.zeros(1, dtype=torch.bfloat16))
    pages.tensor[:] = 1
    pages.give_back(4)
    assert all(pages.tensor[row].sum() == 1000 for row in range(10) if row != 4)
    assert Pages((0, 5), torch.zeros(1)).tensor.shape == (0, 5)
