from __future__ import annotations

import pytest

from titer.traces import cut_text, delete_steps

TEXT = "\n\n".join(f"Step {i} is done." for i in range(1000))


def test_about_the_rate_is_deleted_and_the_rest_stands_as_it_stood() -> None:
    left = delete_steps(TEXT, 0.1, seed=0)
    kept = set(cut_text(left + "\n\n"))
    assert 870 < len(kept) < 930
    assert left == "".join(step for step in cut_text(TEXT + "\n\n") if step in kept).rstrip()


def test_the_seed_decides() -> None:
    assert delete_steps(TEXT, 0.1, seed=0) == delete_steps(TEXT, 0.1, seed=0) != delete_steps(TEXT, 0.1, seed=1)


@pytest.mark.parametrize("text", ["", "one", "One.\nTwo.", "a\n\n\n b\n\nc"])
def test_nothing_or_all_but_one(text: str) -> None:
    assert delete_steps(text, 0.0, seed=0) == text
    assert len(cut_text(delete_steps(text, 1.0, seed=0))) == min(1, len(cut_text(text)))
