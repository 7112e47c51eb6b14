"""The decisions of a run: those that its stages wrote down, and those that the verdict comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from titer.dynamics import Judgement, Verdict
from titer.evaluate import Difference
from titer.records import Decision
from titer.store import read_json


def stage_decisions(run: Path, manifest: Mapping[str, Any]) -> Iterable[Decision]:
    """What stands in the `decisions.json` of each stage, in the order of the stages."""
    for stage in manifest["stages"]:
        file = run / stage / "decisions.json"
        if file.exists():
            yield from read_json(file, lambda rows: [_decision(row) for row in rows])


def _decision(row: Mapping[str, Any]) -> Decision:
    return Decision(**{**row, "evidence": {**row["evidence"]}})


def verdict_decisions(judgement: Judgement | None, differences: Sequence[Difference]) -> Iterable[Decision]:
    """Whether it is time to judge, and each axis with its numbers."""
    if judgement is None:
        return
    yield Decision(
        stage="verdict",
        question="Is the training done?",
        choice=judgement.call,
        rule=judgement.reason,
        evidence={
            name: value
            for name, value in {
                "paid for it": judgement.cost,
                "against that": "; ".join(judgement.remedies),
                "too early before update": judgement.until,
                "checkpoint to take": "the base" if judgement.take == 0 else judgement.take,
            }.items()
            if value
        },
    )
    for verdict in judgement.axes:
        yield _verdict_decision(verdict, differences)


def _verdict_decision(verdict: Verdict, differences: Sequence[Difference]) -> Decision:
    low, mid, high = verdict.accuracy
    mediated = next(
        (d.mediated for d in differences if d.level == "axis" and d.axis == verdict.axis and d.mediated), None
    )
    evidence: dict[str, Any] = {
        "change": round(mid, 4),
        "95 % interval": f"[{low:.4f}, {high:.4f}]",
        "problems": verdict.problems,
        **{part: "{1:+.3f} [{0:+.3f}, {2:+.3f}]".format(*change) for part, change in verdict.parts.items()},
        "length": verdict.length,
    }
    if mediated:
        evidence["of it by ending and answering at all"] = "{1:.2f} [{0:.2f}, {2:.2f}]".format(*mediated)
    if verdict.trough is not None:
        evidence["lowest at update"] = verdict.trough
    if verdict.back:
        evidence["back at the base, by its climb, at update"] = "{1:.0f} [{0:.0f}, {2:.0f}]".format(*verdict.back)
    return Decision(
        stage="verdict",
        question=f"Did {verdict.axis.replace('_', '-')} get better?",
        choice=verdict.label,
        rule=verdict.rule,
        evidence=evidence,
    )
