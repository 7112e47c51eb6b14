"""What SFT learns from in a round: routed traces, bridged ones, rehearsed ones, lessons of the last critique.

folder = lesson(going, "curate", model, number=1)         # kept.parquet, and what the bridge found
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from titer.pipeline.decisions import write_decisions
from titer.pipeline.going import Going, Model, named
from titer.pipeline.routes.bridging import bridge_traces
from titer.pipeline.routes.routing import ledger_of
from titer.records import Decision, Problem, Trace, holds_any, read_traces, without_repeats, write_records
from titer.stages import Entry, rehearsed, sent_to
from titer.stages.bridge import acceptance
from titer.store import read_table


class Parts(NamedTuple):
    """Traces by what they are in the lesson."""

    routed: list[Trace]
    rehearsed: list[Trace]
    unmeasured: list[Trace]
    hard: list[Trace]


class Also(NamedTuple):
    """What a lesson has besides: bridged traces, lessons of the last critique, the rehearsal set."""

    bridged: list[Trace]
    lessons: list[Trace]
    rehearsing: list[Trace]


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


def lesson_traces(lesson: Path) -> list[Trace]:
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
    recipe = going.recipe
    taught = {problem.id: problem for problem in going.inputs.problems}
    kept = list(read_traces(going.folder.path / curated / "kept.parquet"))
    theirs = {trace.id for trace in going.inputs.rehearsal}  # a user's own traces may have a column of that name
    ledger = ledger_of(going, number)
    parts = parts_of(
        [trace for trace in kept if trace.problem_id in taught and trace.id not in theirs],
        ledger,
        rehearsed(ledger, recipe.route.rehearsal, recipe.seed),
        bridge=recipe.stages.bridge,
    )
    bridged, evidence = _bridged(going, model, parts.hard, taught, work) if parts.hard else ([], {})
    if parts.hard and not bridged:
        going.said(f"round {number}: none of the {len(parts.hard)} traces of hard problems could be bridged")
    also = Also(bridged, _lessons_of(critique), [trace for trace in kept if trace.id in theirs])
    # a fresh trace of a critique may be the teacher's own, which is there already
    learned = without_repeats([*parts.routed, *parts.rehearsed, *parts.unmeasured, *chain(*also)])
    write_records(work / "kept.parquet", learned)
    write_decisions(work, [_decision(going, number, parts, also, len(learned), evidence)])


def _bridged(
    going: Going, model: Model, hard: Sequence[Trace], taught: Mapping[str, Problem], work: Path
) -> tuple[list[Trace], dict[str, str]]:
    """What stands in the hard traces' place, and how much of what was tried was accepted."""
    recipe = going.recipe
    found = bridge_traces(
        model.name, hard, taught, recipe.bridge, recipe.generate, work=work, seed=recipe.seed, said=going.said
    )
    evidence = {
        f"{kind}: candidates accepted": f"{one['accepted']:.0%} of {one['candidates']:g}"
        for kind, one in acceptance(found.candidates).items()
    }
    if not found.candidates:
        evidence["bridge"] = "no candidate: from no beginning did the model finish right (does it know the format?)"
    return found.traces, evidence


def _lessons_of(critique: Path | None) -> list[Trace]:
    """The lessons of a critique, where there was one and it has any."""
    file = critique / "lessons.jsonl" if critique else None
    return list(read_traces(file)) if file and holds_any(file) else []


def _decision(
    going: Going, number: int, parts: Parts, also: Also, learned: int, evidence: Mapping[str, str]
) -> Decision:
    counts = {
        "routed to SFT": len(parts.routed),
        "rehearsed": len(parts.rehearsed),
        "of problems that were not measured": len(parts.unmeasured),
        "of hard problems": len(parts.hard),
        **({"of these bridged, or taken as they are": len(also.bridged)} if parts.hard else {}),
        "lessons of the last round's critique": len(also.lessons),
        "of the rehearsal set": len(also.rehearsing),
    }
    allocation = going.recipe.route.allocation
    return Decision(
        stage=named("lesson", number),
        question=f"What does SFT learn from in round {number}?",
        choice=f"{learned} traces",
        rule=f"allocation {allocation}; the likeliest accepted candidate in place of a hard trace (ours)",
        evidence={**{name: count for name, count in counts.items() if count or "bridged" in name}, **evidence},
        setting="stages",
    )
