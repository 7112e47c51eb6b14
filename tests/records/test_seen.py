"""Names that came before are known again, wherever their hashes lie by then."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.records import seen as room
from titer.records.seen import Seen


@given(st.lists(st.integers(0, 30).map(str)))
def test_as_a_set_does(names: list[str]) -> None:
    seen, known = Seen(), set[str]()
    for name in names:
        assert seen.add(name) == (name not in known)
        known.add(name)


def test_a_table_that_grows_and_wraps_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FIRST", 2)
    seen = Seen()
    assert all(seen.add(f"t{i}") for i in range(3000))
    assert not any(seen.add(f"t{i}") for i in range(3000)) and seen.add("t3000")


def test_a_name_takes_few_bytes() -> None:
    seen = Seen()
    tracemalloc.start()
    for i in range(40_000):
        seen.add(f"t{i}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / 40_000 < 24  # at its largest while it doubles, the old table and the new
