"""The decisions of a stage, stored beside its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from titer.records import Decision
from titer.records.rows import to_row
from titer.store import write_json


def write_decisions(work: Path, decisions: Sequence[Decision]) -> None:
    """Store a stage's decisions beside its tables."""
    write_json(work / "decisions.json", [to_row(decision) for decision in decisions])
