"""Curation inside a run: every trace is accounted for, and the record says what was kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from titer.errors import InputError
from titer.pipeline.curating import check_curation, curate_traces, rehearse
from titer.pipeline.data import load_inputs, prepare
from titer.recipe import parse_recipe
from titer.records import Trace, read_traces
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


def test_thinking_is_dropped_from_all_that_is_trained_on(tmp_path: Path) -> None:
    data = {"lab": {**MADE["lab"], "rehearsal": {"guarded": 4}}}
    block = {"thinking": "drop", "rehearsal": 0.2}
    recipe = parse_recipe({"name": "c", "model": "lab", "data": data, "curate": block})
    prepare(recipe, tmp_path)
    inputs = load_inputs(tmp_path)
    thought = [replace(trace, reasoning="First I think.") for trace in inputs.rehearsal]
    inputs = inputs._replace(rehearsal=thought)
    curate_traces(recipe, inputs, tmp_path)
    kept, control = (list(read_traces(tmp_path / f"{name}.parquet")) for name in ("kept", "control"))
    assert any(trace.meta.get("rehearsal") for trace in kept)
    assert not any(trace.reasoning for trace in [*kept, *control])


def test_a_rehearsal_set_is_mixed_in_past_every_filter(tmp_path: Path) -> None:
    data = {"lab": {**MADE["lab"], "rehearsal": {"guarded": 8, "sort": 4}}}
    recipe = parse_recipe(
        {"name": "c", "model": "lab", "data": data, "curate": {"by": "none", "rehearsal": 0.2, "longest": 300}}
    )
    prepare(recipe, tmp_path)
    inputs = load_inputs(tmp_path)
    assert len(inputs.rehearsal) == 12 and not {t.id for t in inputs.rehearsal} & {t.id for t in inputs.traces}
    curate_traces(recipe, inputs, tmp_path)
    kept = list(read_traces(tmp_path / "kept.parquet"))
    rehearsing = [trace for trace in kept if trace.meta.get("rehearsal")]
    assert len(rehearsing) == round(0.25 * (len(kept) - len(rehearsing))) > 0
    assert not any(trace.reasoning for trace in rehearsing) and any(trace.reasoning for trace in kept)
    (decision,) = json.loads((tmp_path / "decisions.json").read_text())
    assert decision["evidence"]["rehearsing"] == f"{len(rehearsing)} of 12"


def test_at_most_all_of_a_rehearsal_set() -> None:
    traces = [Trace(id=str(i), problem_id=str(i), teacher="", prompt="?", reasoning="", response="") for i in range(3)]
    assert len(rehearse(traces, 0.5, 100, 0)) == 3
    assert len(rehearse(traces, 0.5, 2, 0)) == 2
    assert rehearse(traces, 0.0, 100, 0) == [] == rehearse([], 0.5, 100, 0)
    assert [t.id for t in rehearse(traces, 0.5, 2, 0)] == [t.id for t in rehearse(traces, 0.5, 2, 0)]


def test_the_thinking_can_be_dropped_after_it_has_been_judged(tmp_path: Path) -> None:
    recipe = parse_recipe({"name": "c", "model": "lab", "data": MADE, "curate": {"thinking": "drop"}})
    prepare(recipe, tmp_path)
    inputs = load_inputs(tmp_path)
    curate_traces(recipe, inputs, tmp_path)
    kept = list(read_traces(tmp_path / "kept.parquet"))
    reasons = {row["rule"] for row in read_table(tmp_path / "reasons.parquet")}
    assert reasons == {"branching"} and len(kept) < len(inputs.traces)
    assert all(trace.response and not trace.reasoning for trace in kept)


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"shortest": 100, "longest": 50}, "shortest"), ({"paired_with": "gpt-oss"}, "paired_with"), ({"by": "x"}, "by")],
)
def test_settings_that_contradict_each_other_are_refused_before_anything(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        check_curation(parse_recipe({"name": "c", "model": "lab", "data": MADE, "curate": settings}))
    assert caught.value.field == f"curate.{field}"
