"""Everything that a run found out, read from its folder: what the page shows.

data = gather(Path("runs/quickstart"))
data.suites, data.judgement, data.decisions
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from titer.dynamics import judge
from titer.errors import reading
from titer.evaluate import compare, summarise, with_guessing
from titer.evaluate.allocate import Part
from titer.pipeline.data import load_inputs
from titer.pipeline.evaluation.evaluating import passing_of
from titer.pipeline.evaluation.judging import as_judged, axis_curves, halves_of
from titer.pipeline.reporting.deciding import stage_decisions, verdict_decisions
from titer.pipeline.reporting.logs import Logs, logs_of, updates_of
from titer.pipeline.reporting.reading import pairs_of, teachers_of, traces_to_read
from titer.pipeline.reporting.standing import refuse_mixture
from titer.recipe import Recipe, load_recipe
from titer.records import Rollout, Trace, read_rollouts, read_traces
from titer.report import (
    CurationCounts,
    Manifest,
    ReportData,
    StageRow,
    moves,
    pick_pairs,
)
from titer.store import STAGE_AGAIN, read_json, read_manifest, read_table
from titer.traces.cues import DEFINITIONS


def gather(run: Path, *, to_read: bool = True) -> ReportData:
    """Everything that the page shows, read from the run directory; parts that are not there yet stay empty. Without
    `to_read` no traces are cut into steps, and teachers are not compared: that takes longest. Raises InputError for an
    evaluation of an earlier training than the one that stands there."""
    manifest = read_manifest(run)
    refuse_mixture(run, manifest)
    rollouts = list(read_rollouts(run / "evaluate" / "rollouts.parquet")) if _has(manifest, "evaluate") else []
    by_model: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_model.setdefault(rollout.model, []).append(rollout)
    base, others = by_model.get("base", []), {name: part for name, part in by_model.items() if name != "base"}
    last = _last_step(run, manifest)
    inputs = load_inputs(run / "data")
    halves = halves_of(inputs.suites)
    stages = _trainings(manifest)
    logs = logs_of(run, stages)
    answers = {(suite.name, p.id): p.answer for suite in inputs.suites for p in suite.problems}
    parts = _parts(run / "evaluate" / "parts.json")
    steps = {0: base, **{_step(name, last): part for name, part in others.items()}}
    recipe = load_recipe(run / "recipe.yaml")
    passing = passing_of(recipe)
    curves = axis_curves(steps, halves, parts, passing) if others else {}
    judgement = judge(curves) if others else None
    passed = {suite.axis for suite in inputs.suites if suite.name in passing}
    compared = compare(base, steps[last], halves=halves) if last in steps else []
    final = [as_judged(difference, curves, passed) for difference in compared]
    curated = _curated(run / "curate") if _has(manifest, "curate") else None
    traces, reasons = (_in_order(curated, inputs.traces), curated.reasons) if curated else ([], {})
    pairs = pairs_of(traces, reasons) if to_read else []
    return ReportData(
        title=str(manifest["name"]),
        headline=_headline(recipe, logs, stages, run),
        judgement=judgement,
        decisions=[*stage_decisions(run, manifest), *verdict_decisions(judgement, final)],
        suites=with_guessing(
            summarise([*base, *by_model.get("trained", [])], halves=halves),
            {suite.name: suite.problems for suite in inputs.suites},
        )
        if rollouts
        else [],
        differences=final,
        training=logs.training,
        rewards=logs.rewards,
        probes=logs.probes,
        endpoint=logs.endpoint,
        unseen=logs.unseen,
        # a suite's own curve needs all its problems; where a part was asked, the axes' curves stand for it
        checkpoints={step: summarise(part, halves=halves) for step, part in steps.items()}
        if len(others) > 1 and not parts
        else {},
        curation=CurationCounts(kept=len(curated.kept), dropped=dict(curated.rules)) if curated else None,
        teachers=teachers_of(traces) if to_read else None,
        behaviours=DEFINITIONS,
        traces=traces_to_read(traces, reasons) if to_read and not pairs else [],
        trace_pairs=pairs,
        moves=moves(steps) if others else [],
        pairs=pick_pairs(base, by_model.get("trained", []), answers=answers),
        manifest=_manifest(run, manifest, recipe),
    )


class Curated(NamedTuple):
    """The traces that curation saw, why it dropped those that it did, by id, and how many by each rule."""

    kept: list[Trace]
    dropped: list[Trace]
    reasons: Mapping[str, str]
    rules: Counter[str]


def _headline(recipe: Recipe, logs: Logs, stages: Sequence[str], run: Path) -> dict[str, str]:
    tuned = [stage for stage in stages if stage.startswith("train")]
    return {
        "model": recipe.model,
        "objective": _objective(recipe.train.objective, run / (tuned or ["train"])[-1] / "objective.json"),
        "training": ", ".join(_trained(logs, len(tuned))) or "not yet",
    }


def _trained(logs: Logs, times: int) -> Iterable[str]:
    """What the evaluated model went through."""
    if logs.training:
        yield f"{logs.tuned} updates"
        yield f"{logs.training[-1].epoch:.1f} epochs" + (f" in {times} rounds" if times > 1 else "")
    if logs.rewards:
        yield f"{logs.reinforced} updates of RL"


def _objective(asked: str, settled: Path) -> str:
    """The objective as the recipe has it, or what auto came to."""
    if asked != "auto" or not settled.exists():
        return asked
    return read_json(settled, lambda row: f"{row['objective']} (auto)")


def _parts(file: Path) -> list[Part]:
    """What the checkpoints between base and last were asked; nothing where that was everything."""
    return read_json(file, lambda rows: [_part(row) for row in rows]) if file.exists() else []


def _part(row: Mapping[str, Any]) -> Part:
    return Part(**{**row, "problems": tuple(row["problems"]), "others": tuple(row["others"])})


def _curated(folder: Path) -> Curated:
    rows = read_table(folder / "reasons.parquet")
    with reading(folder / "reasons.parquet", remedy=STAGE_AGAIN):
        reasons = {str(row["trace_id"]): f"{row['rule']}: {row['reason']}" for row in rows}
        rules = Counter(str(row["rule"]) for row in rows)
    dropped = list(read_traces(folder / "dropped.parquet")) if reasons else []
    return Curated(list(read_traces(folder / "kept.parquet")), dropped, reasons, rules)


def _in_order(curated: Curated, traces: Sequence[Trace]) -> list[Trace]:
    """Kept and dropped traces in the order of the run's data, so that the first ones are no choice of curation's."""
    places = {trace.id: place for place, trace in enumerate(traces)}
    return sorted([*curated.kept, *curated.dropped], key=lambda trace: places.get(trace.id, len(places)))


def _manifest(run: Path, manifest: Mapping[str, Any], recipe: Recipe) -> Manifest:
    stages = manifest["stages"]
    newest: Mapping[str, Any] = next(reversed(stages.values()), {})
    return Manifest(
        stages=[StageRow(name=name, seconds=stage["seconds"]) for name, stage in stages.items()],
        versions=newest.get("versions", {}),
        seeds={"of the run": recipe.seed},
        device=str(newest.get("machine", {}).get("platform", "")),
        recipe=(run / "recipe.yaml").read_text(encoding="utf-8"),
    )


def _has(manifest: Mapping[str, Any], stage: str) -> bool:
    return stage in manifest["stages"]


def _last_step(run: Path, manifest: Mapping[str, Any]) -> int:
    """Updates of all trainings that made the evaluated model, at least one: 0 is the base."""
    return max(1, sum(updates_of(run / name) for name in _trainings(manifest)))


def _trainings(manifest: Mapping[str, Any]) -> list[str]:
    """The stages of fine-tuning and RL that made the evaluated model, in the order in which they ran."""
    stages = manifest["stages"]
    trained = stages.get("evaluate", {}).get("inputs", {}).get("trained")
    made_by = next((name for name, stage in stages.items() if stage["key"] == trained), None)
    # rounds after the one that was kept have trained, too
    names = [name for name in stages if name.split("-")[0] in ("train", "rl") and _round(name) <= _round(made_by)]
    return sorted(names, key=lambda name: (_round(name), name.startswith("rl")))


def _round(stage: str | None) -> float:
    """The round that a stage belongs to, by its name; endless where no stage is named."""
    if stage is None:
        return math.inf
    number = stage.rpartition("-")[2]
    return int(number) if number.isdigit() else 1


def _step(name: str, last: int) -> int:
    """The update of a model's name in the tables: `trained` is the last checkpoint."""
    return last if name == "trained" else int(name.removeprefix("step-"))
