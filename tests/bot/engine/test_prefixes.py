"""The cache of prefixes: what it finds, and what it lets go."""

import torch

from bot.engine.prefixes import BLOCK, PrefixCache

A_BLOCK = 2 * 2 * BLOCK * 1 * 4 * 4  # bytes: layers, keys and values, positions, heads, width, float


def kept(length: int) -> torch.Tensor:
    """Make keys and values that say at which position they stand."""
    return torch.arange(float(length)).view(1, 1, length, 1, 1).expand(2, 2, length, 1, 4)


def test_whole_blocks_are_found_as_they_were_kept():
    cache = PrefixCache(100 * A_BLOCK, kept(1))
    ids = list(range(3 * BLOCK + 5))
    cache.keep(ids, kept(len(ids)))
    found = cache.find([*ids, 7, 8])
    assert torch.equal(torch.cat(found, dim=2), kept(3 * BLOCK))
    assert cache.stats.hit_rate == 3 * BLOCK / (len(ids) + 2)


def test_a_prompts_last_token_is_always_computed():
    cache = PrefixCache(100 * A_BLOCK, kept(1))
    ids = list(range(2 * BLOCK))
    cache.keep(ids, kept(len(ids)))
    assert len(cache.find(ids)) == 1


def test_a_block_is_known_by_all_that_stands_before_it_and_by_the_adapter():
    cache = PrefixCache(100 * A_BLOCK, kept(1))
    ids = list(range(3 * BLOCK))
    cache.keep(ids, kept(len(ids)), "chandler")
    assert cache.find([*ids, 1]) == []
    assert len(cache.find([*ids, 1], "chandler")) == 3
    assert len(cache.find([*ids[: 2 * BLOCK], 1, *ids[2 * BLOCK :]], "chandler")) == 2
    assert cache.find([9, *ids], "chandler") == []


def test_the_least_recently_used_go_first_and_ends_before_beginnings():
    cache = PrefixCache(4 * A_BLOCK, kept(1))
    first, second, third = ([number] * (2 * BLOCK + 1) for number in range(3))
    cache.keep(first, kept(2 * BLOCK + 1))
    cache.keep(second, kept(2 * BLOCK + 1))
    cache.find(first)
    cache.keep(third[: BLOCK + 1], kept(BLOCK + 1))
    assert [len(cache.find(one)) for one in (first, second, third)] == [2, 1, 1]
    assert cache.stats.dropped == 1
    assert cache.stats.size == 4 * A_BLOCK


def test_what_others_take_leaves_less_for_the_cache():
    cache = PrefixCache(4 * A_BLOCK, kept(1))
    cache.keep(list(range(4 * BLOCK)), kept(4 * BLOCK))
    cache.keep([7] * BLOCK, kept(BLOCK), taken=3 * A_BLOCK)
    assert cache.stats.size == A_BLOCK
    assert len(cache.find([7] * (BLOCK + 1))) == 1
    cache.keep([8] * BLOCK, kept(BLOCK), taken=4 * A_BLOCK)
    assert cache.stats.size == 0
    cache.clear()
    assert cache.stats.size == 0


def test_what_is_computed_anew_replaces_what_was_known():
    cache = PrefixCache(4 * A_BLOCK, kept(1))
    ids = list(range(BLOCK + 1))
    cache.keep(ids, kept(BLOCK))
    cache.keep(ids, kept(BLOCK) + 1)
    assert torch.equal(cache.find(ids)[0], kept(BLOCK))
    cache.keep(ids, kept(BLOCK) + 1, anew=True)
    assert torch.equal(cache.find(ids)[0], kept(BLOCK) + 1)
    assert cache.stats.size == A_BLOCK


def test_a_kept_block_does_not_hold_on_to_the_slot():
    cache = PrefixCache(4 * A_BLOCK, kept(1))
    slot = kept(4 * BLOCK).clone()
    cache.keep(list(range(BLOCK)), slot)
    slot.zero_()
    assert torch.equal(cache.find(list(range(BLOCK + 1)))[0], kept(BLOCK))
