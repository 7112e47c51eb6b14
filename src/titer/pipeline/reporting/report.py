"""The last stage: everything a run found out, as one page, one summary and two tables.

    summary = report(Path("runs/quickstart"))
    summary["report"]      # runs/quickstart/report.html

It reads nothing but the run directory, so it can be made again at any time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args, get_type_hints

from titer.errors import InputError
from titer.evaluate import Difference, Interval, SuiteSummary
from titer.pipeline.reporting.gather import gather
from titer.report import (
    ReportData,
    moved_rows,
    render,
)
from titer.store import fetched, read_manifest, write_json, write_table, write_text


def report(run: Path | str) -> dict[str, Any]:
    """Write `report.html`, `summary.json`, `scores.parquet`, `differences.parquet` and `moves.parquet` (problems gained
    and lost between checkpoints) into a run directory.

    Returns the summary. A run at an address is fetched first, and its report put there. Raises InputError when the run
    has not been evaluated yet.
    """
    run, mirror = fetched(run, reading=True)
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


def _flat(row: SuiteSummary | Difference) -> dict[str, Any]:
    """A result as one table row: intervals as three columns, empty where there is none, lists joined."""
    flat: dict[str, Any] = {}
    kinds = get_type_hints(type(row))
    for name, value in asdict(row).items():
        if Interval in (kinds[name], *get_args(kinds[name])):
            ends = value or (None,) * 3
            flat |= {f"{name}_{end}": part for end, part in zip(Interval._fields, ends, strict=True)}
        elif isinstance(value, Mapping):
            flat[name] = json.dumps({str(key): part for key, part in value.items()})
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


def _number(value: float) -> float | None:
    """JSON knows no nan."""
    return None if math.isnan(value) else value


def _seconds(run: Path) -> float:
    return float(sum(stage["seconds"] for stage in read_manifest(run)["stages"].values()))
