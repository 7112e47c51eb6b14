"""Curation inside a run: every trace is accounted for, and the record says what was kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from titer.pipeline.data import load_inputs, prepare
from titer.pipeline.stages import curate_traces
from titer.recipe import parse_recipe
from titer.store import read_table

MADE = {"lab": {"problems": {"countdown3": 12}, "suites": {"countdown3": 2}}}


@pytest.mark.parametrize(
    ("block", "rules"),
    [
        ({}, {"branching"}),
        ({"by": "none"}, set[str]()),
        ({"by": "dead_end_share", "keep": 0.5, "per_problem": 1}, {"branching", "per problem"}),
        ({"by": "step_ratio", "paired_with": "convergent", "keep": 0.75}, {"branching"}),
        ({"by": "none", "longest": 300}, {"length"}),
        ({"by": "none", "near": 0.2}, {"near duplicate", "evaluation"}),
    ],
    ids=["default", "no ranking", "graph", "proxy 1", "bounds", "near"],
)
def test_every_trace_is_kept_or_dropped_with_a_reason(block: dict[str, Any], rules: set[str], tmp_path: Path) -> None:
    recipe = parse_recipe({"name": "c", "model": "lab", "data": MADE, "curate": block})
    prepare(recipe, tmp_path)
    inputs = load_inputs(tmp_path)
    curate_traces(recipe, inputs, tmp_path)
    kept, dropped, control = (
        [row["id"] for row in read_table(tmp_path / f"{name}.parquet")] for name in ("kept", "dropped", "control")
    )
    assert sorted(kept + dropped) == sorted(trace.id for trace in inputs.traces) and len(control) == len(kept) > 0
    reasons = read_table(tmp_path / "reasons.parquet")
    assert [row["trace_id"] for row in reasons] == dropped and all(row["reason"] for row in reasons)
    assert {row["rule"] for row in reasons} <= rules and bool(reasons) == bool(rules)
    (decision,) = json.loads((tmp_path / "decisions.json").read_text())
    assert decision["choice"] == f"{len(kept)} of {len(inputs.traces)} kept"
    assert "nan" not in json.dumps(decision).lower() and decision["evidence"]["random control of the same size"] > 0
