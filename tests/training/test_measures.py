"""Bits per byte, and the loss that computes no logits for what is not learned."""

import math
from pathlib import Path

import pytest
import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_base_model, load_screenplay
from tests.toys import toy_gpt2, toy_llama, toy_scenes
from training.measures import LearnedLoss, Sums, bootstrap_ratio, by_episode, read_window, total
from training.samples import Sampler
from training.stream import collate


@pytest.mark.parametrize("make", [toy_gpt2, toy_llama])
def test_the_loss_is_the_models_own_on_learned_positions(make: object, tmp_path: Path) -> None:
    base = find_base(str(make(tmp_path / "base")), tmp_path)  # type: ignore[operator]
    model = load_base_model(base, torch.float32)
    windows = Sampler(load_screenplay(base.folder), {"Joey Tribbiani"}, window=100).windows(toy_scenes(2))
    whole = LearnedLoss(model).eval()
    sums = [read_window(whole, window, torch.device("cpu"), None) for window in windows]
    for window, ours in zip(windows, sums, strict=True):
        inputs = collate([window])
        learned = inputs["weights"] > 0
        labels = torch.where(learned, inputs["input_ids"], torch.tensor(-100))
        loss = model(inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss.detach()
        count = int(learned.sum())
        assert ours.tokens == count == sum(window.learned)
        assert ours.nats == pytest.approx(float(loss) * count, rel=1e-4)
    batch = whole(**collate(windows[:2])).detach().sum()
    assert float(batch) == pytest.approx(sums[0].nats + sums[1].nats, rel=1e-4)
    soft = collate(windows[:1], prompt_weight=0.3)
    weighted = whole(**soft).detach()
    assert weighted.numel() == len(windows[0]) - 1
    assert float(weighted.sum()) > sums[0].nats


def test_bits_per_byte_and_perplexity() -> None:
    sums = Sums(nats=8 * math.log(2), tokens=4, size=16)
    assert sums.bits_per_byte == pytest.approx(0.5)
    assert sums.perplexity == pytest.approx(4.0)
    assert math.isnan(Sums().bits_per_byte)


def test_the_interval_is_over_episodes_and_paired() -> None:
    theirs = {f"e{number}": Sums(100.0 + 50 * number, 10, 100) for number in range(10)}
    ours = {key: Sums(0.9 * one.nats, one.tokens, one.size) for key, one in theirs.items()}
    low, high = bootstrap_ratio(ours, theirs, rounds=500)
    assert low == pytest.approx(0.9)
    assert high == pytest.approx(0.9)
    noisy = {key: Sums(one.nats * (0.8 if key < "e5" else 1.0), 10, 100) for key, one in theirs.items()}
    low, high = bootstrap_ratio(noisy, theirs, rounds=500)
    assert low < 0.9 < high + 0.05
    assert high - low > 0.05


def test_windows_add_up_by_episode(tmp_path: Path) -> None:
    windows = Sampler(load_screenplay(toy_gpt2(tmp_path / "base")), {"Ann"}, window=60).windows(toy_scenes(3))
    read = [(window, Sums(1.0, 2, 3)) for window in windows]
    assert len(by_episode(read)) == 3
    assert total(by_episode(read).values()) == Sums(len(windows), 2 * len(windows), 3 * len(windows))
