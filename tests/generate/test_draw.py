"""Drawing follows the distribution that transformers' own samplers describe."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from titer.generate.draw import draw
from titer.generate.protocol import Sampling

GRID = 4096


def random_logits(vocabulary: int, spread: float, seed: int) -> Tensor:
    return spread * torch.randn(1, vocabulary, generator=torch.Generator().manual_seed(seed))


def expected_probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    scores = TemperatureLogitsWarper(sampling.temperature)(None, logits)
    if sampling.top_k:
        scores = TopKLogitsWarper(sampling.top_k)(None, scores)
    if sampling.top_p < 1:
        scores = TopPLogitsWarper(sampling.top_p)(None, scores)
    return scores.softmax(-1)[0]


@pytest.mark.parametrize("vocabulary", [5, 64, 700, 3000])
@pytest.mark.parametrize("spread", [0.3, 2.0, 6.0])
@pytest.mark.parametrize(("top_p", "top_k"), [(1.0, 0), (0.9, 0), (0.3, 0), (1.0, 7), (0.8, 7), (0.95, 10_000)])
def test_every_token_gets_its_share_of_the_unit_interval(
    vocabulary: int, spread: float, top_p: float, top_k: int
) -> None:
    sampling = Sampling(temperature=0.7, top_p=top_p, top_k=top_k)
    logits = random_logits(vocabulary, spread, seed=vocabulary)
    # An even grid instead of random numbers: every count is then right to within one.
    grid = (torch.arange(GRID) + 0.5) / GRID
    counts = draw(logits.expand(GRID, -1), grid, sampling).bincount(minlength=vocabulary)
    expected = expected_probabilities(logits, sampling)
    assert float((counts - GRID * expected).abs().max()) <= 1.05
    assert int(counts[expected == 0].sum()) == 0


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
@pytest.mark.parametrize("top_p", [1.0, 0.95, 0.01])
def test_the_ends_of_the_interval_draw_tokens_that_may_be_drawn(uniform: float, top_p: float) -> None:
    sampling = Sampling(temperature=1.0, top_p=top_p)
    for seed in range(200):  # totals of all kinds, which rounding leaves a little off 1
        logits = random_logits(300, 4.0, seed)
        logits[:, -50:] = -torch.inf
        token = int(draw(logits, torch.tensor([uniform]), sampling))
        assert float(expected_probabilities(logits, sampling)[token]) > 0


def test_temperature_zero_is_greedy() -> None:
    logits = torch.randn(50, 300)
    assert torch.equal(draw(logits, torch.rand(50), Sampling(temperature=0)), logits.argmax(-1))


def test_a_tiny_temperature_does_not_overflow() -> None:
    logits = 1000 * torch.randn(50, 300)
    assert torch.equal(draw(logits, torch.rand(50), Sampling(temperature=1e-30)), logits.argmax(-1))


def test_a_row_is_drawn_as_if_alone() -> None:
    # Narrow and wide rows in one batch: some are ranked further than others.
    logits = torch.randn(40, 700) * torch.linspace(0.1, 8, 40)[:, None]
    numbers = torch.rand(40)
    sampling = Sampling(temperature=0.9, top_p=0.95)
    alone = [draw(logits[i : i + 1], numbers[i : i + 1], sampling) for i in range(40)]
    assert torch.equal(draw(logits, numbers, sampling), torch.cat(alone))
