"""What SFT learns from in a round: routed traces, bridged ones, rehearsed ones, lessons of the last critique.

folder = lesson(going, "curate", model, number=1)         # kept.parquet, and what the bridge found
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from titer.pipeline.decisions import write_decisions
from titer.pipeline.going import Going, Model, named
from titer.pipeline.routes.bridging import bridge_traces
from titer.pipeline.routes.routing import ledger_of
from titer.records import Decision, Trace, holds_any, read_traces, without_repeats, write_records
from titer.stages import Entry, rehearsed, sent_to
from titer.stages.bridge import acceptance
from titer.store import read_table


class Parts(NamedTuple):
    """Traces by what they are in the lesson."""

    routed: list[Trace]
    rehearsed: list[Trace]
    unmeasured: list[Trace]
    hard: list[Trace]


def lesson(going: Going, curated: str, model: Model, number: int) -> Path:
    """The stage with the traces of this round's SFT."""
    recipe, folder = going.recipe, going.folder
    earlier = named("critique", number - 1)
    critique = folder.path / earlier if earlier in folder.manifest["stages"] and number > 1 else None
    return folder.stage(
        named("lesson", number),
        {
            "routed": folder.key(named("route", number)),
            "traces": folder.key(curated),
            "model": model.key,
            "bridge": recipe.bridge.model_dump() if recipe.stages.bridge else None,
            "rehearsal": recipe.route.rehearsal,
            "generate": recipe.generate.decisive(),
            "lessons": folder.key(earlier) if critique else None,
        },
        lambda work: _write(going, curated, model, number, critique, work),
        said=going.said,
    )


def traces_of(lesson: Path) -> list[Trace]:
    """The traces of a lesson, of which there may be none."""
    file = lesson / "kept.parquet"
    return list(read_traces(file)) if read_table(file) else []


def parts_of(traces: Sequence[Trace], ledger: Sequence[Entry], again: Sequence[str], *, bridge: bool) -> Parts:
    """The traces of an SFT: those routed there, the rehearsed, those of problems that nobody measured; and the hard
    ones, which are routed ones where there is no bridge."""
    measured = {entry.problem_id for entry in ledger}
    hard = set(sent_to(ledger, "bridge")) if bridge else set()
    plain = set(sent_to(ledger, "sft")) - hard
    return Parts(
        [trace for trace in traces if trace.problem_id in plain],
        [trace for trace in traces if trace.problem_id in set(again) - plain - hard],
        [trace for trace in traces if trace.problem_id not in measured],
        [trace for trace in traces if trace.problem_id in hard],
    )


def _write(going: Going, curated: str, model: Model, number: int, critique: Path | None, work: Path) -> None:
    recipe, said = going.recipe, going.said
    taught = {problem.id: problem for problem in going.inputs.problems}
    curated_traces = list(read_traces(going.folder.path / curated / "kept.parquet"))
    theirs = {trace.id for trace in going.inputs.rehearsal}  # a user's own traces may have a column of that name
    rehearsing = [trace for trace in curated_traces if trace.id in theirs]
    traces = [trace for trace in curated_traces if trace.problem_id in taught]
    ledger = ledger_of(going, number)
    again = rehearsed(ledger, recipe.route.rehearsal, recipe.seed)
    parts = parts_of(traces, ledger, again, bridge=recipe.stages.bridge)
    bridged, evidence = list[Trace](), dict[str, str]()
    if parts.hard:
        found = bridge_traces(
            model.name, parts.hard, taught, recipe.bridge, recipe.generate, work=work, seed=recipe.seed, said=said
        )
        bridged = found.traces
        evidence = {
            f"{kind}: candidates accepted": f"{one['accepted']:.0%} of {one['candidates']:g}"
            for kind, one in acceptance(found.candidates).items()
        }
        if not found.candidates:
            evidence["bridge"] = "no candidate: from no beginning did the model finish right (does it know the format?)"
        if not bridged:
            said(f"round {number}: none of the {len(parts.hard)} traces of hard problems could be bridged")
    lessons = (
        list(read_traces(critique / "lessons.jsonl")) if critique and holds_any(critique / "lessons.jsonl") else []
    )
    # a fresh trace of a critique may be the teacher's own, which is there already
    kept = without_repeats([*parts.routed, *parts.rehearsed, *parts.unmeasured, *bridged, *lessons, *rehearsing])
    write_records(work / "kept.parquet", kept)
    counts = {
        "routed to SFT": len(parts.routed),
        "rehearsed": len(parts.rehearsed),
        "of problems that were not measured": len(parts.unmeasured),
        "of hard problems": len(parts.hard),
        **({"of these bridged, or taken as they are": len(bridged)} if parts.hard else {}),
        "lessons of the last round's critique": len(lessons),
        "of the rehearsal set": len(rehearsing),
    }
    decision = Decision(
        stage=named("lesson", number),
        question=f"What does SFT learn from in round {number}?",
        choice=f"{len(kept)} traces",
        rule=f"allocation {recipe.route.allocation}; the likeliest accepted candidate in place of a hard trace (ours)",
        evidence={**{name: count for name, count in counts.items() if count or "bridged" in name}, **evidence},
        setting="stages",
    )
    write_decisions(work, [decision])
