"""The last stage: everything a run found out, as one page, one summary and two tables.

    summary = report(Path("runs/quickstart"))
    summary["report"]      # runs/quickstart/report.html

It reads nothing but the run directory, so it can be made again at any time.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

from titer.dynamics import Judgement, Verdict, judge
from titer.errors import InputError, reading
from titer.evaluate import Difference, SuiteSummary, compare, summarise, with_guessing
from titer.evaluate.allocate import Part
from titer.pipeline.data import load_inputs
from titer.pipeline.evaluation.judging import axis_curves, halves_of
from titer.pipeline.reporting.reading import pairs_of, teachers_of, traces_of
from titer.recipe import Recipe, load_recipe
from titer.records import Decision, Rollout, Trace, read_rollouts, read_traces
from titer.report import (
    Curation,
    Manifest,
    ProbeRow,
    ReportData,
    StageRow,
    TrainRow,
    moved_rows,
    moves,
    pick_pairs,
    render,
)
from titer.store import STAGE_AGAIN, Mirror, read_manifest, read_table, write_json, write_table, write_text
from titer.traces.cues import BEHAVIOURS, DEFINITIONS

P_BINS: Final = 20  # titer.train.telemetry.BINS: a report needs no torch


def report(run: Path | str) -> dict[str, Any]:
    """Write `report.html`, `summary.json`, `scores.parquet`, `differences.parquet` and `moves.parquet` (problems gained
    and lost between checkpoints) into a run directory.

    Returns the summary. A run at an address is fetched first, and its report put there. Raises InputError when the run
    has not been evaluated yet.
    """
    mirror = Mirror.of(run)
    if mirror:
        mirror.local.mkdir(parents=True, exist_ok=True)
        mirror.fetch()
    run = mirror.local if mirror else Path(run)
    data = gather(run)
    if not data.suites:
        raise InputError("has no evaluation yet", file=run, remedy="finish it with `titer run`")
    write_text(run / "report.html", render(data))
    write_table(run / "scores.parquet", [_flat(suite) for suite in data.suites])
    write_table(run / "differences.parquet", [_flat(difference) for difference in data.differences])
    write_table(run / "moves.parquet", moved_rows(data.moves))
    summary = summarise_run(data, seconds=_seconds(run))
    write_json(run / "summary.json", summary)
    if mirror:
        mirror.commit_beside()
    return {**summary, "report": str(run / "report.html")}


def gather(run: Path, *, to_read: bool = True) -> ReportData:
    """Everything that the page shows, read from the run directory; parts that are not there yet stay empty. Without
    `to_read` no traces are cut into steps, and teachers are not compared: that takes longest."""
    manifest = read_manifest(run)
    rollouts = list(read_rollouts(run / "evaluate" / "rollouts.parquet")) if _has(manifest, "evaluate") else []
    by_model: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_model.setdefault(rollout.model, []).append(rollout)
    base, others = by_model.get("base", []), {name: part for name, part in by_model.items() if name != "base"}
    last = _last_step(run, manifest)
    differences = {_step(name, last): compare(base, part) for name, part in others.items()}
    final = differences.get(last, [])
    inputs = load_inputs(run / "data")
    training = _training(run / "train" / "log.jsonl")
    answers = {p.id: p.answer for suite in inputs.suites for p in suite.problems}
    parts = _parts(run / "evaluate" / "parts.json")
    steps = {0: base, **{_step(name, last): part for name, part in others.items()}}
    recipe = load_recipe(run / "recipe.yaml")
    passing = [name for name, suite in recipe.data.suites.items() if suite.aggregate == "pass"]
    judgement = judge(axis_curves(steps, halves_of(inputs.suites), parts, passing)) if others else None
    curated = _curated(run / "curate") if _has(manifest, "curate") else Curated([], [], {})
    traces = _in_order(curated, inputs.traces)
    pairs = pairs_of(traces, curated.reasons) if to_read else []
    return ReportData(
        title=str(manifest["name"]),
        headline=_headline(recipe, training, run / "train" / "objective.json"),
        judgement=judgement,
        decisions=[*_decisions(run, manifest), *_verdict_decisions(judgement, final)],
        suites=with_guessing(
            summarise([*base, *by_model.get("trained", [])]), {suite.name: suite.problems for suite in inputs.suites}
        )
        if rollouts
        else [],
        differences=final,
        training=training,
        probes=(probes := _probes(run / "train" / "probe.jsonl")),
        endpoint=_endpoint(run / "train", probes),
        unseen=_probes(run / "train" / "unseen.jsonl"),
        # a suite's own curve needs all its problems; where a part was asked, the axes' curves stand for it
        checkpoints={step: summarise(part) for step, part in steps.items()} if len(others) > 1 and not parts else {},
        curation=_curation(run / "curate") if _has(manifest, "curate") else None,
        teachers=teachers_of(traces) if to_read else None,
        behaviours=DEFINITIONS,
        traces=traces_of(traces, curated.reasons) if to_read and not pairs else [],
        trace_pairs=pairs,
        moves=moves(steps) if others else [],
        pairs=pick_pairs(base, by_model.get("trained", []), answers=answers),
        manifest=_manifest(run, manifest),
    )


def summarise_run(data: ReportData, *, seconds: float) -> dict[str, Any]:
    """What programs read: the judgement, per axis base, trained, the paired difference and the verdict; seconds."""
    summary: dict[str, Any] = {"seconds": round(seconds, 1)}
    if data.judgement is None:
        return summary
    judgement = data.judgement
    summary |= {"call": judgement.call, "reason": judgement.reason, "cost": judgement.cost}
    summary |= {"take": judgement.take, "until": judgement.until}
    mediated = {d.axis: d.mediated for d in data.differences if d.level == "axis" and d.mediated}
    for verdict in judgement.axes:
        summary[verdict.axis] = {
            "base": verdict.base_value,
            "trained": verdict.value,
            "difference": [_number(end) for end in verdict.accuracy],
            "problems": verdict.problems,
            "verdict": verdict.label,
            "length": verdict.length,
        }
        if found := mediated.get(verdict.axis):
            summary[verdict.axis]["by_answering"] = [_number(end) for end in found]
        if verdict.parts:
            parts = {name: [_number(end) for end in change] for name, change in verdict.parts.items()}
            summary[verdict.axis]["parts"] = parts
    return summary


def _headline(recipe: Recipe, training: Sequence[TrainRow], settled: Path) -> dict[str, str]:
    return {
        "model": recipe.model,
        "objective": _objective(recipe.train.objective, settled),
        "training": f"{training[-1].step} updates, {training[-1].epoch:.1f} epochs" if training else "not yet",
    }


def _objective(asked: str, settled: Path) -> str:
    """The objective as the recipe has it, or what auto came to."""
    if asked != "auto" or not settled.exists():
        return asked
    with reading(settled, remedy=STAGE_AGAIN):
        return f"{json.loads(settled.read_text(encoding='utf-8'))['objective']} (auto)"


def _decisions(run: Path, manifest: Mapping[str, Any]) -> Iterable[Decision]:
    for stage in manifest["stages"]:
        file = run / stage / "decisions.json"
        if file.exists():
            with reading(file, remedy=STAGE_AGAIN):
                rows = json.loads(file.read_text(encoding="utf-8"))
                decisions = [Decision(**{**row, "evidence": {**row["evidence"]}}) for row in rows]
            yield from decisions


def _verdict_decisions(judgement: Judgement | None, differences: Sequence[Difference]) -> Iterable[Decision]:
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
                "checkpoint to take": judgement.take,
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


def _training(file: Path) -> list[TrainRow]:
    with reading(file, remedy=STAGE_AGAIN):
        return [
            TrainRow(
                step=int(row["step"]),
                epoch=float(row["epoch"]),
                loss=float(row["loss"]),
                token_accuracy=float(row["token_accuracy"]),
                lr=float(row["learning_rate"]),
                grad_norm=float(row["grad_norm"]),
                tokens_per_s=float(row["tokens_per_second"]),
                tokens=_by_kind(row.get("p_histogram", ())),
                pull=_by_kind(row.get("pull_histogram", ())),
            )
            for row in _lines(file)
        ]


def _by_kind(flat: Sequence[float]) -> dict[str, Sequence[float]]:
    """A histogram of the log by kind of step; "" is what is outside of steps, or all where no steps were labelled."""
    kinds = (*BEHAVIOURS, "") if len(flat) > P_BINS else ("",) * bool(flat)
    return {kind: flat[i * P_BINS : (i + 1) * P_BINS] for i, kind in enumerate(kinds)}


def _probes(file: Path) -> list[ProbeRow]:
    with reading(file, remedy=STAGE_AGAIN):
        return [
            ProbeRow(step=int(row["step"]), token_accuracy=float(row["token_accuracy"]), loss=float(row["nll"]))
            for row in _lines(file)
        ]


def _parts(file: Path) -> list[Part]:
    """What the checkpoints between base and last were asked; nothing where that was everything."""
    with reading(file, remedy=STAGE_AGAIN):
        rows = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        return [Part(**{**row, "problems": tuple(row["problems"]), "others": tuple(row["others"])}) for row in rows]


def _endpoint(train: Path, probes: Sequence[ProbeRow]) -> ProbeRow | None:
    file = train / "endpoint.json"
    with reading(file, remedy=STAGE_AGAIN):
        fired = json.loads(file.read_text(encoding="utf-8"))["fired"] if file.exists() else None
    return next((probe for probe in probes if probe.step == fired), None)


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def _curation(folder: Path) -> Curation:
    rows = read_table(folder / "reasons.parquet")
    with reading(folder / "reasons.parquet", remedy=STAGE_AGAIN):
        dropped = dict(Counter(str(row["rule"]) for row in rows))
    return Curation(kept=sum(1 for _ in read_traces(folder / "kept.parquet")), dropped=dropped)


class Curated(NamedTuple):
    """The traces that curation saw, and why it dropped those that it did, by id."""

    kept: list[Trace]
    dropped: list[Trace]
    reasons: Mapping[str, str]


def _curated(folder: Path) -> Curated:
    rows = read_table(folder / "reasons.parquet")
    with reading(folder / "reasons.parquet", remedy=STAGE_AGAIN):
        reasons = {str(row["trace_id"]): f"{row['rule']}: {row['reason']}" for row in rows}
    dropped = list(read_traces(folder / "dropped.parquet")) if reasons else []
    return Curated(list(read_traces(folder / "kept.parquet")), dropped, reasons)


def _in_order(curated: Curated, traces: Sequence[Trace]) -> list[Trace]:
    """Kept and dropped traces in the order of the run's data, so that the first ones are no choice of curation's."""
    places = {trace.id: place for place, trace in enumerate(traces)}
    return sorted([*curated.kept, *curated.dropped], key=lambda trace: places.get(trace.id, len(places)))


def _manifest(run: Path, manifest: Mapping[str, Any]) -> Manifest:
    stages = manifest["stages"]
    newest: Mapping[str, Any] = next(reversed(stages.values()), {})
    return Manifest(
        stages=[StageRow(name=name, seconds=stage["seconds"]) for name, stage in stages.items()],
        versions=newest.get("versions", {}),
        device=str(newest.get("machine", {}).get("platform", "")),
        recipe=(run / "recipe.yaml").read_text(encoding="utf-8"),
    )


def _has(manifest: Mapping[str, Any], stage: str) -> bool:
    return stage in manifest["stages"]


def _last_step(run: Path, manifest: Mapping[str, Any]) -> int:
    """Updates of all trainings that made the evaluated model, at least one: 0 is the base."""
    stages = manifest["stages"]
    trained = stages.get("evaluate", {}).get("inputs", {}).get("trained")
    made_by = next((name for name, stage in stages.items() if stage["key"] == trained), None)
    # rounds after the one that was kept have trained, too
    names = [name for name in stages if name.split("-")[0] in ("train", "rl") and _round(name) <= _round(made_by)]
    steps = [
        max((int(at.name.removeprefix("step-")) for at in (run / name / "checkpoints").glob("step-*[0-9]")), default=0)
        for name in names
    ]
    return max(1, sum(steps))


def _round(stage: str | None) -> float:
    """The round that a stage belongs to, by its name; endless where no stage is named."""
    if stage is None:
        return math.inf
    number = stage.rpartition("-")[2]
    return int(number) if number.isdigit() else 1


def _step(name: str, last: int) -> int:
    """The update of a model's name in the tables: `trained` is the last checkpoint."""
    return last if name == "trained" else int(name.removeprefix("step-"))


def _seconds(run: Path) -> float:
    return float(sum(stage["seconds"] for stage in read_manifest(run)["stages"].values()))


def _flat(row: SuiteSummary | Difference) -> dict[str, Any]:
    """A result as one table row: intervals as three columns, lists joined."""
    flat: dict[str, Any] = {}
    for name, value in asdict(row).items():
        if isinstance(value, tuple) and len(value) == 3 and hasattr(getattr(row, name), "mid"):
            flat |= {f"{name}_{end}": part for end, part in zip(("low", "mid", "high"), value, strict=True)}
        elif isinstance(value, Mapping):
            flat[name] = json.dumps({str(key): part for key, part in value.items()})
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


def _number(value: float) -> float | None:
    """JSON knows no nan."""
    return None if math.isnan(value) else value
