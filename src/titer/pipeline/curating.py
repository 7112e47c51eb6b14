"""Curation inside a run: the traces are verified, ranked and kept or dropped with a reason.

curate_traces(recipe, inputs, work)          # kept.parquet, dropped.parquet, decisions.json
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from titer.errors import InputError
from titer.pipeline.data import Inputs
from titer.pipeline.decisions import write_decisions
from titer.recipe import Recipe
from titer.records import Decision, Problem, Trace, write_records
from titer.store import write_table
from titer.traces import Curation, curate
from titer.traces.choice import refuse_contradictions
from titer.verify import grade_many


def check_curation(recipe: Recipe) -> None:
    """Raise InputError for what no traces are needed to refuse: better before a model was sampled than after."""
    block = recipe.curate
    try:
        refuse_contradictions(block.by, block.shortest, block.longest, block.paired_with)
    except InputError as error:
        raise InputError(error.fault, field=f"curate.{error.field}", remedy=error.remedy) from None


def curate_traces(recipe: Recipe, inputs: Inputs, work: Path) -> None:
    """Verify the traces and keep what teaches."""
    problems = {problem.id: problem for problem in inputs.problems}
    traces = verify_traces(inputs.traces, problems) if recipe.curate.verified else inputs.traces
    curation = curate(
        traces,
        keep=recipe.curate.keep,
        by=recipe.curate.by,
        verified=recipe.curate.verified,
        per_problem=recipe.curate.per_problem,
        paired_with=recipe.curate.paired_with,
        shortest=recipe.curate.shortest,
        longest=recipe.curate.longest,
        near=recipe.curate.near,
        evaluation=[problem for suite in inputs.suites for problem in suite.problems],
        seed=recipe.seed,
    )
    if not curation.kept:
        raise InputError(
            "no trace is left after curation", field="curate", remedy="look at dropped.parquet, or loosen it"
        )
    rehearsed = rehearse(inputs.rehearsal, recipe.curate.rehearsal, len(curation.kept), recipe.seed)
    write_records(work / "kept.parquet", _as_taught(recipe, [*curation.kept, *rehearsed]))
    write_records(work / "control.parquet", _as_taught(recipe, curation.control))
    write_records(work / "dropped.parquet", [drop.trace for drop in curation.dropped])
    write_table(
        work / "reasons.parquet",
        [{"trace_id": drop.trace.id, "rule": drop.rule, "reason": drop.reason} for drop in curation.dropped],
    )
    write_decisions(work, [_decision(recipe, inputs, curation, len(rehearsed))])


def _as_taught(recipe: Recipe, traces: Sequence[Trace]) -> list[Trace]:
    return [replace(trace, reasoning="") for trace in traces] if recipe.curate.thinking == "drop" else [*traces]


def verify_traces(traces: Sequence[Trace], problems: Mapping[str, Problem]) -> list[Trace]:
    """The traces with `correct` set by grading their response; None where it could not be graded."""
    grades = grade_many([(problems[trace.problem_id], trace.response) for trace in traces])
    return [
        replace(trace, correct=None if grade.score is None else grade.score == 1.0)
        for trace, grade in zip(traces, grades, strict=True)
    ]


def rehearse(traces: Sequence[Trace], share: float, beside: int, seed: int) -> list[Trace]:
    """As many traces, at random, as make up a share of themselves and `beside` others; all where there are fewer."""
    count = min(len(traces), round(share / (1 - share) * beside))
    chosen = np.random.default_rng([seed, 9]).permutation(len(traces))[:count]
    return [replace(traces[i], meta={**traces[i].meta, "rehearsal": True}) for i in sorted(chosen.tolist())]


def _decision(recipe: Recipe, inputs: Inputs, curation: Curation, rehearsed: int) -> Decision:
    """Which traces were kept, and by which rule."""
    dropped = Counter(drop.rule for drop in curation.dropped)
    teachers = Counter(trace.teacher for trace in curation.kept)
    return Decision(
        stage="curate",
        question="Which traces teach?",
        choice=f"{len(curation.kept)} of {len(inputs.traces)} kept",
        rule=_rule(recipe),
        evidence={
            **{f"dropped: {rule}": number for rule, number in dropped.items()},
            **_ranking(recipe.curate.by, curation),
            "random control of the same size": len(curation.control),
            **({"rehearsing": f"{rehearsed} of {len(inputs.rehearsal)}"} if inputs.rehearsal else {}),
            **({"thinking": "dropped from every trace"} if recipe.curate.thinking == "drop" else {}),
            **{f"kept of {teacher}": number for teacher, number in sorted(teachers.items())},
        },
        setting="curate",
    )


def _ranking(by: str, curation: Curation) -> dict[str, float | str]:
    """What the ranking did, as evidence; nothing where none was made."""
    if by == "none":
        return {}
    found: dict[str, float | str] = {f"largest {by} kept": round(curation.cutoff, 4)}
    if not math.isnan(curation.length_overlap):
        found["also dropped by length alone"] = f"{curation.length_overlap:.0%} of those dropped for branching"
    return found


def _rule(recipe: Recipe) -> str:
    parts = ["finished"]
    if recipe.curate.verified:
        parts.append("verified")
    if (by := recipe.curate.by) != "none":
        source = {"cue_share": " (arXiv 2604.01702, proxy 2)", "step_ratio": " (arXiv 2604.01702, proxy 1)"}.get(by, "")
        parts.append(f"the {recipe.curate.keep:.0%} with the least {by}{source}")
    if recipe.curate.per_problem:
        parts.append(f"at most {recipe.curate.per_problem} a problem")
    return ", ".join(parts)
