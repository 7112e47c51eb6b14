"""The names of axes, suites and rows as people read them."""

from __future__ import annotations

from titer.records.results import Difference


def row_name(difference: Difference) -> str:
    """The name of a difference's row: its axis, or its suite set in below."""
    return title(difference.axis) if difference.level == "axis" else f"· {title(difference.suite)}"


def title(name: str) -> str:
    """An axis' or suite's name as people read it; ordinary files have none, and are one suite."""
    return name.replace("_", " ") if name else "all problems"
