"""Each sample has random numbers of its own, the same wherever and whenever it is drawn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from titer.generate.streams import stream_key, uniforms


def test_keys_never_change() -> None:
    # Runs are resumed by newer versions: these two numbers are part of the format.
    assert hex(stream_key(0, "p7", 3)) == "0xb2c479a2f024cbfdb122f079aafbd111"
    assert uniforms(stream_key(0, "p7", 3), 2).tolist() == [0.7303333282470703, 0.8750357627868652]


@given(st.integers(), st.text(), st.integers(min_value=0))
def test_a_neighbour_has_another_stream(seed: int, request_id: str, sample: int) -> None:
    here = stream_key(seed, request_id, sample)
    others = {
        stream_key(seed + 1, request_id, sample),
        stream_key(seed, request_id + "0", sample),
        stream_key(seed, request_id, sample + 1),
    }
    assert len(others | {here}) == 4


@given(st.integers(0, 2**128 - 1), st.integers(1, 100), st.integers(1, 100))
def test_asking_for_more_does_not_change_the_first_numbers(key: int, few: int, more: int) -> None:
    np.testing.assert_array_equal(uniforms(key, few + more)[:few], uniforms(key, few))


def test_the_numbers_are_uniform() -> None:
    numbers = np.concatenate([uniforms(stream_key(0, f"p{i}", 0), 100) for i in range(1000)])
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    # 5000 per bin, standard deviation 69.
    assert abs(counts - 5000).max() < 350
