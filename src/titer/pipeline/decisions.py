"""The decisions of a stage, stored beside its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from titer.records import Decision
from titer.store import write_json


def write_decisions(work: Path, decisions: Sequence[Decision]) -> None:
    """Store a stage's decisions beside its tables."""
    rows = [
        {
            "stage": decision.stage,
            "question": decision.question,
            "choice": decision.choice,
            "rule": decision.rule,
            "evidence": dict(decision.evidence),
            "setting": decision.setting,
        }
        for decision in decisions
    ]
    write_json(work / "decisions.json", rows)
