from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.train import Sample
from titer.train.length.schedule import log_grid, rate
from titer.train.tokens.batches import SampleOrder, micro_batches


@given(count=st.integers(1, 40), batch=st.integers(1, 17), seed=st.integers(0, 5))
def test_every_epoch_shows_every_sample_once(count: int, batch: int, seed: int) -> None:
    order = SampleOrder(count, batch, seed)
    stream = [i for update in range(3 * count) for i in order.of_update(update)][: 3 * count]
    for epoch in range(3):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_are_shuffled_differently_and_reproducibly() -> None:
    first, again = (SampleOrder(50, 50, seed=1) for _ in range(2))
    assert first.of_update(0) == again.of_update(0) != first.of_update(1)
    assert SampleOrder(50, 50, seed=2).of_update(0) != first.of_update(0)


@pytest.mark.parametrize(("count", "batch", "epochs", "updates"), [(10, 4, 1, 3), (10, 5, 2, 4), (10, 4, 0.5, 2)])
def test_updates_of_epochs(count: int, batch: int, epochs: float, updates: int) -> None:
    assert SampleOrder(count, batch, 0).updates(epochs) == updates


lengths = st.lists(st.tuples(st.integers(0, 9), st.integers(2, 30)), min_size=1, max_size=12)


@given(shapes=lengths, tokens=st.integers(1, 120), packing=st.booleans())
def test_micro_batches_hold_every_trained_token_once(shapes: list[tuple[int, int]], tokens: int, packing: bool) -> None:
    samples = [Sample(str(i), [100 * i + j for j in range(p + c)], p) for i, (p, c) in enumerate(shapes)]
    found: Counter[int] = Counter()
    for micro in micro_batches(samples, tokens=tokens, packing=packing, pad=-1):
        rows, width = micro.ids_BT.shape
        assert rows * width <= tokens or rows == 1
        for row, column, target in zip(micro.rows_N, micro.columns_N, micro.targets_N, strict=True):
            assert micro.ids_BT[row, column + 1] == target
            found[int(target)] += 1
    assert found == Counter(i for sample in samples for i in sample.ids[max(1, sample.prompt_length) :])


def test_cosine_warms_up_and_ends_near_zero() -> None:
    assert rate(step=6, updates=100, peak=1.0, warmup=0.07) == 1.0  # .07 × 100 is a little more than 7
    rates = [rate(step=s, updates=100, peak=1.0, warmup=0.1) for s in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0 == rates[10]
    assert rates[-1] < 0.001 and rates[10:] == sorted(rates[10:], reverse=True)


def test_constant_cools_down_linearly_at_the_end() -> None:
    rates = [rate(step=s, updates=100, peak=1.0, warmup=0.0, schedule="constant", cooldown=0.2) for s in range(100)]
    assert rates[79] == 1.0 and rates[90] == pytest.approx(0.5) and rates[99] == pytest.approx(0.05)


def test_log_grid() -> None:
    assert log_grid(300) == [0, 10, 20, 40, 80, 160, 300]
    assert log_grid(10) == [0, 10] and log_grid(3) == [0, 3]
