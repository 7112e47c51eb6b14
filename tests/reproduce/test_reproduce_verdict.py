from __future__ import annotations

import math

import pytest

from titer.records.results import Interval
from titer.reproduce.verdict import interval, verdict


def test_the_interval_is_student_t() -> None:
    low, mid, high = interval([1.0, 2.0, 3.0])
    assert mid == 2.0
    assert (low, high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))  # t(2), 97.5 %
    assert interval([0.5, 0.5]) == (0.5, 0.5, 0.5)
    assert math.isnan(interval([0.5]).low) and interval([0.5]).mid == 0.5


def test_what_one_seed_does_not_know_is_unknown() -> None:
    assert all(math.isnan(end) for end in interval([0.1, math.nan, 0.3]))
    assert verdict(interval([0.1, math.nan, 0.3]), "above") == "cannot tell"


CASES = [
    (Interval(-3, -2, -1), "below", "appears"),
    (Interval(-3, -2, -1), "above", "does not appear"),
    (Interval(1, 2, 3), "above", "appears"),
    (Interval(1, 2, 3), "below", "does not appear"),
    (Interval(-1, 2, 3), "above", "cannot tell"),
    (Interval(0, 0, 0), "above", "cannot tell"),
    (Interval(0, 1, 2), "above", "cannot tell"),
    (Interval(math.nan, 2, math.nan), "above", "cannot tell"),
    (Interval(-0.02, 0, 0.02), "not below", "appears"),
    (Interval(0, 0, 0), "not below", "appears"),
    (Interval(-0.06, 0, 0.06), "not below", "cannot tell"),
    (Interval(-0.06, -0.03, -0.01), "not below", "does not appear"),
    (Interval(-0.02, -0.015, -0.01), "not below", "does not appear"),
    (Interval(math.nan, 2, math.nan), "not below", "cannot tell"),
]


@pytest.mark.parametrize(("change", "direction", "expected"), CASES)
def test_the_rule(change: Interval, direction: str, expected: str) -> None:
    assert verdict(change, direction) == expected  # type: ignore[arg-type]
