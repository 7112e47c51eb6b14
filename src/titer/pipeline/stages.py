"""What each stage of a run does inside its folder. Every function reads tables and writes tables.

curate_traces(recipe, inputs, work)          # kept.parquet, dropped.parquet
train_model(recipe, traces, unseen, work)    # checkpoints/, log.jsonl, probe.jsonl
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from titer.errors import InputError
from titer.models import add_lora, load_model
from titer.pipeline.data import Inputs
from titer.pipeline.decisions import write_decisions
from titer.pipeline.launching import launch
from titer.pipeline.reading import step_kinds
from titer.processes import is_main
from titer.recipe import Recipe
from titer.records import Decision, Problem, Trace, write_records
from titer.store import write_json, write_table
from titer.traces import BEHAVIOURS, Curation, curate
from titer.verify import grade_many


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
    drop = recipe.curate.thinking == "drop"
    write_records(
        work / "kept.parquet",
        [*(replace(trace, reasoning="") if drop else trace for trace in curation.kept), *rehearsed],
    )
    write_records(work / "control.parquet", curation.control)
    write_records(work / "dropped.parquet", [drop.trace for drop in curation.dropped])
    write_table(
        work / "reasons.parquet",
        [{"trace_id": drop.trace.id, "rule": drop.rule, "reason": drop.reason} for drop in curation.dropped],
    )
    rules = Counter(drop.rule for drop in curation.dropped)
    decision = Decision(
        stage="curate",
        question="Which traces teach?",
        choice=f"{len(curation.kept)} of {len(traces)} kept",
        rule=_curation_rule(recipe),
        evidence={
            **{f"dropped: {rule}": number for rule, number in rules.items()},
            **_ranking(recipe.curate.by, curation),
            "random control of the same size": len(curation.control),
            **({"rehearsing": f"{len(rehearsed)} of {len(inputs.rehearsal)}"} if inputs.rehearsal else {}),
            **({"thinking": "dropped from every trace"} if drop else {}),
            **{f"kept of {teacher}": n for teacher, n in sorted(Counter(t.teacher for t in curation.kept).items())},
        },
        setting="curate",
    )
    write_decisions(work, [decision])


def rehearse(traces: Sequence[Trace], share: float, beside: int, seed: int) -> list[Trace]:
    """As many traces, at random, as make up a share of themselves and `beside` others; all where there are fewer."""
    count = min(len(traces), round(share / (1 - share) * beside))
    chosen = np.random.default_rng([seed, 9]).permutation(len(traces))[:count]
    return [replace(traces[i], meta={**traces[i].meta, "rehearsal": True}) for i in sorted(chosen.tolist())]


def _ranking(by: str, curation: Curation) -> dict[str, float | str]:
    """What the ranking did, as evidence; nothing where none was made."""
    if by == "none":
        return {}
    found: dict[str, float | str] = {f"largest {by} kept": round(curation.cutoff, 4)}
    if not math.isnan(curation.length_overlap):
        found["also dropped by length alone"] = f"{curation.length_overlap:.0%} of those dropped for branching"
    return found


def verify_traces(traces: Sequence[Trace], problems: Mapping[str, Problem]) -> list[Trace]:
    """The traces with `correct` set by grading their response; None where it could not be graded."""
    grades = grade_many([(problems[trace.problem_id], trace.response) for trace in traces])
    return [
        replace(trace, correct=None if grade.score is None else grade.score == 1.0)
        for trace, grade in zip(traces, grades, strict=True)
    ]


def train_model(
    recipe: Recipe, traces: Sequence[Trace], unseen: Sequence[Trace], work: Path, *, progress: bool
) -> None:
    """Fine-tune the base model on the traces, and follow its loss on the unseen ones; in the processes that
    `train.launch` starts, where it names a launcher."""
    if recipe.train.launch:
        return launch(recipe, traces, unseen, work)
    from titer.train import ENDPOINT_RULE, encode_all, read_stop, train

    loaded = load_model(recipe.model)
    dropped: list[InputError] = []
    longest = context_length(recipe.train.max_length, loaded.model)
    samples = encode_all(
        traces,
        loaded.tokenizer,
        max_length=longest,
        too_long=recipe.train.too_long,
        dropped=dropped,
        label=step_kinds,
    )
    left = encode_all(unseen, loaded.tokenizer, max_length=longest, too_long="drop", dropped=[]) if unseen else []
    model = add_lora(loaded.model, recipe.train.lora, seed=recipe.seed) if recipe.train.lora else loaded.model
    result = train(
        model,
        loaded.tokenizer,
        samples,
        recipe.train,
        out=work,
        seed=recipe.seed,
        progress=progress,
        kinds=BEHAVIOURS,
        unseen=left,
    )
    if not is_main():
        return None
    write_json(work / "too_long.json", [str(error) for error in dropped])
    stop = read_stop(work)
    evidence = {
        "traces": len(samples),
        "epochs": round(result.updates * recipe.train.batch_size / len(samples), 2),
        "trained tokens of one epoch": sum(sample.trained for sample in samples),
        "dropped as too long": len(dropped),
    }
    if stop:
        evidence |= {
            "the endpoint's update": stop.fired,
            "token accuracy there": round(stop.token_accuracy, 4),
            "its rise an epoch": round(stop.slope * len(samples) / recipe.train.batch_size, 5),
        }
    updates = "1 update" if result.updates == 1 else f"{result.updates} updates"
    decision = Decision(
        stage="train",
        question="How long, and with which objective?",
        choice=f"{updates} of {recipe.train.batch_size} traces, objective {recipe.train.objective}",
        rule=ENDPOINT_RULE if stop else "as the recipe says",
        evidence=evidence,
        setting="train",
    )
    return write_decisions(work, [decision])


def context_length(asked: int | None, model: Any) -> int | None:
    """The longest sample: what the recipe asks for, at most what the model has positions for."""
    has = getattr(model.config, "max_position_embeddings", None)
    if asked and has and asked > has:
        raise InputError(
            f"{asked} tokens, but the model has {has} positions", field="train.max_length", remedy="lower it"
        )
    return asked or has


def _curation_rule(recipe: Recipe) -> str:
    parts = ["finished"]
    if recipe.curate.verified:
        parts.append("verified")
    if (by := recipe.curate.by) != "none":
        source = {"cue_share": " (arXiv 2604.01702, proxy 2)", "step_ratio": " (arXiv 2604.01702, proxy 1)"}.get(by, "")
        parts.append(f"the {recipe.curate.keep:.0%} with the least {by}{source}")
    if recipe.curate.per_problem:
        parts.append(f"at most {recipe.curate.per_problem} a problem")
    return ", ".join(parts)
