from __future__ import annotations

import pytest

from titer.traces import steps
from titer.traces.probes import delete_steps

TEXT = "\n\n".join(f"Step {i}." for i in range(1000))


def test_about_the_rate_is_deleted_and_the_rest_stands_as_it_stood() -> None:
    left = delete_steps(TEXT, 0.1, seed=0)
    assert 870 < len(steps(left)) < 930
    assert left == "\n\n".join(steps(left)) and [s for s in steps(TEXT) if s in set(steps(left))] == steps(left)


def test_the_seed_decides() -> None:
    assert delete_steps(TEXT, 0.1, seed=0) == delete_steps(TEXT, 0.1, seed=0) != delete_steps(TEXT, 0.1, seed=1)


@pytest.mark.parametrize("text", ["", "one", "one\ntwo", "a\n\n\n b\n\nc"])
def test_nothing_or_all_but_one(text: str) -> None:
    assert delete_steps(text, 0.0, seed=0) == text
    assert len(steps(delete_steps(text, 1.0, seed=0))) == min(1, len(steps(text)))
