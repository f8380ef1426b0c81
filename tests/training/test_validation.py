"""What a validation reads is fixed; what it finds makes one score."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bot.engine.bases import find_base
from bot.engine.checkpoints import load_base_model, load_screenplay
from tests.toys import toy_gpt2, toy_scenes
from training.corpus import load_corpus
from training.measures import LearnedLoss
from training.mixture import Part
from training.samples import Sampler
from training.split import split_scenes
from training.untouched import remembered
from training.validation import Measures, Sample, Validator, choose_sample, sample_tokens

JOEY = "Joey Tribbiani"


@pytest.fixture
def toy(make_corpus: Callable[..., Path], tmp_path: Path) -> tuple[LearnedLoss, Sample]:
    base = find_base(str(toy_gpt2(tmp_path / "base")), tmp_path)
    screenplay = load_screenplay(base.folder)
    parts = []
    for name, taught in (("show", {JOEY}), ("chat", None)):
        corpus = load_corpus(str(make_corpus(toy_scenes(40), name)), tmp_path / "cache")
        parts.append(Part(corpus, split_scenes(corpus), Sampler(screenplay, taught, window=100), 0.5))
    sample = choose_sample(parts, screenplay, 2000, seed=0)
    again = choose_sample(parts, screenplay, 2000, seed=0)
    assert sample.checksum() == again.checksum() != choose_sample(parts, screenplay, 2000, seed=1).checksum()
    return LearnedLoss(load_base_model(base, torch.float32)), sample


def test_held_out_and_training_windows_are_of_their_own_sides(toy: tuple[LearnedLoss, Sample]) -> None:
    _, sample = toy
    held_out = {window.episode for windows in sample.held_out.values() for window in windows}
    assert list(sample.held_out) == ["show", "chat"]
    assert not held_out & {window.episode for window in sample.training}
    assert sample.lines


def test_a_validation_measures_everything_and_leaves_no_trace(toy: tuple[LearnedLoss, Sample]) -> None:
    model, sample = toy
    model.train()
    before = torch.random.get_rng_state()
    measures = Validator(model, sample, torch.device("cpu"), None).measure()
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.training
    assert measures.bits_per_byte == measures.corpora["show"] > 1
    assert measures.train_bits_per_byte > 1
    assert measures.repetition is None


def test_the_score_is_what_is_written_down() -> None:
    measures = Measures(1.25, 18.0, 1.1, 0.05)
    assert measures.score == pytest.approx(1.2)
    assert replace(measures, repetition=0.5).score == pytest.approx(1.3)
    assert Measures.from_mapping(measures.to_mapping()) == measures


def test_the_samples_size_follows_what_is_asked_for_within_bounds() -> None:
    a_pass = 1_200_000  # tokens, 67 minutes at the rate that is counted on
    assert sample_tokens(5, 0.05, a_pass) == 2_048
    assert sample_tokens(20, 0.05, a_pass) == 4_500
    assert sample_tokens(120, 0.05, a_pass) == 7_500
    assert sample_tokens(120, 0.05, 25_000) == 2_048
    assert sample_tokens(120, 0.9, a_pass) == 16_384


def test_the_untouched_base_is_measured_once(tmp_path: Path) -> None:
    measured: list[int] = []

    def measure() -> Measures:
        measured.append(1)
        return Measures(1.234567, 18.0, 1.1, 0.05, {"show": 1.234567})

    first, seconds = remembered(tmp_path, {"base": "a"}, measure)
    assert remembered(tmp_path, {"base": "a"}, measure) == (first, seconds)
    assert len(measured) == 1
    remembered(tmp_path, {"base": "b"}, measure)
    assert len(measured) == 2
    next(iter((tmp_path / "untouched").iterdir())).write_text("{")
    assert remembered(tmp_path, {"base": "a"}, measure)[0] == first == remembered(tmp_path, {"base": "b"}, measure)[0]
    assert len(measured) == 3
