"""What came of each problem in a round: the router's ledger with what was taught, what RL made of it, and the lessons.

write_outcome(going, number=1)          # ledger/ledger.parquet
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from titer.pipeline.going import Going, named
from titer.pipeline.rounds.lesson import lesson_traces
from titer.pipeline.routes.routing import ledger_of
from titer.records import holds_any, read_traces
from titer.stages.rl import Group, read_groups
from titer.store import write_table

LEFT = ("rl", "critique")  # stages that a round may do without


def write_outcome(going: Going, number: int) -> None:
    """The stage with the round's ledger. It costs nothing, so that it is made anew with any of what it tells of."""
    folder = going.folder
    stages = folder.manifest["stages"]
    made = {stage: named(stage, number) for stage in ("route", "lesson", *LEFT)}
    folder.stage(
        named("ledger", number),
        {stage: stages[name]["key"] for stage, name in made.items() if name in stages},
        lambda work: write_table(work / "ledger.parquet", outcomes(going, number)),
        said=going.said,
    )


def outcomes(going: Going, number: int) -> list[dict[str, Any]]:
    """A row a measured problem: where it went and why, what it was taught with, what came of it in RL, its lessons."""
    path = going.folder.path
    groups = _groups(path / named("rl", number) / "groups.jsonl")
    own = {trace.id for trace in (*going.inputs.traces, *going.inputs.rehearsal)}  # whose meta is the user's
    taught: dict[str, list[str]] = {}
    for trace in lesson_traces(path / named("lesson", number)):
        made = "" if trace.id in own else str(trace.meta.get("bridge") or trace.meta.get("lesson") or "")
        taught.setdefault(trace.problem_id, []).append(made)
    learned = _lessons(path / named("critique", number) / "lessons.jsonl")
    return [
        {
            **entry._replace(round=number).row,
            "sft_traces": len(taught.get(entry.problem_id, [])),
            "made_by": sorted({kind for kind in taught.get(entry.problem_id, []) if kind}),
            "rl_groups": len(groups.get(entry.problem_id, [])),
            "rl_graded": sum(group.graded for group in groups.get(entry.problem_id, [])),
            "rl_correct": sum(group.correct for group in groups.get(entry.problem_id, [])),
            "lessons": learned[entry.problem_id],
        }
        for entry in ledger_of(going, number)
    ]


def _groups(file: Path) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in read_groups(file) if file.exists() else []:
        found.setdefault(group.problem_id, []).append(group)
    return found


def _lessons(file: Path) -> Counter[str]:
    return Counter(trace.problem_id for trace in read_traces(file)) if holds_any(file) else Counter()
