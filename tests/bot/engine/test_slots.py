"""Slots: which are taken, and what they cost."""

import psutil
import torch
from transformers import LlamaConfig

from bot.engine.slots import Slots

CONFIG = LlamaConfig(num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, hidden_size=256)
A_POSITION = 4 * 2 * 2 * 64 * 4  # bytes: layers, keys and values, heads, width, float


def slots(limit: int, context: int = 64) -> Slots:
    return Slots(CONFIG, context, torch.zeros(1), limit)


def test_there_are_as_many_as_fit_into_three_quarters_of_the_limit():
    assert slots(8 * 64 * A_POSITION).count == 6
    assert slots(1).count == 1
    assert slots(10**9).count == 32
    assert slots(8 * 64 * A_POSITION).kept.shape == (4, 2, 6, 64, 2, 64)


def test_what_is_never_filled_takes_no_memory():
    process = psutil.Process()
    before = process.memory_info().rss
    found = slots(10**9, context=4096)
    assert found.kept.nbytes > 400 * 2**20
    assert process.memory_info().rss - before < 20 * 2**20
    found.kept[:, :, 3, :10] = 1
    assert found.kept.sum() == 4 * 2 * 10 * 2 * 64


def test_the_lowest_free_slot_is_taken_and_what_was_written_is_counted():
    found = slots(8 * 64 * A_POSITION)
    assert [found.take() for _ in range(4)] == [0, 1, 2, 3]
    found.give_back(2)
    found.give_back(0)
    assert (found.take(), found.free) == (0, 3)
    found.filled(0, 10)
    found.filled(0, 4)
    found.filled(3, 7)
    assert found.touched == 17 * A_POSITION


def test_a_slot_begins_as_another_does_or_with_known_blocks():
    found = slots(8 * 64 * A_POSITION)
    blocks = [torch.full((4, 2, 16, 2, 64), float(number)) for number in (1, 2)]
    assert found.fill(0, blocks) == 32
    assert found.fill(1, []) == 0
    found.copy(0, 1, 20)
    assert found.view(1)[:, :, :20].equal(torch.cat(blocks, dim=2)[:, :, :20])
    assert found.view(1)[:, :, 20:].sum() == 0


def test_free_slots_give_back_what_they_were_filled_with_and_the_others_keep_theirs():
    process = psutil.Process()
    found = slots(10**9, context=4096)
    taken = [found.take() for _ in range(8)]
    for slot in taken:
        found.kept[:, :, slot] = 1
        found.filled(slot, 4096)
    full = process.memory_info().rss
    for slot in taken[1:]:
        found.give_back(slot)
    found.tidy()
    assert full - process.memory_info().rss > 6 * 4096 * A_POSITION
    assert found.touched == 4096 * A_POSITION
    assert found.view(0).sum() == 4 * 2 * 4096 * 2 * 64
    assert found.view(1).sum() == 0
