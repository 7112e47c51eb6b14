"""Suites of files: settings of their own, and problems that stand where they should not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from titer.errors import InputError
from titer.pipeline.curating import curate_traces
from titer.pipeline.data import data_inputs, load_inputs, prepare, read_dropped
from titer.pipeline.evaluation.evaluating import settings_of
from titer.recipe import Recipe, parse_recipe
from titer.records import read_traces


def write(path: Path, *prompts: str) -> str:
    path.write_text("".join(json.dumps({"id": f"{path.stem}-{p}", "prompt": p, "answer": "7"}) + "\n" for p in prompts))
    return str(path)


def recipe(folder: Path, suites: dict[str, tuple[str, ...]], **data: Any) -> Recipe:
    traces = [{"id": f"t{i}", "prompt": f"train {i}?", "answer": "7", "response": "7"} for i in range(3)]
    (folder / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in traces))
    files = {name: {"problems": write(folder / f"{name}.jsonl", *prompts)} for name, prompts in suites.items()}
    given = {"traces": str(folder / "traces.jsonl"), "suites": files, **data}
    return parse_recipe({"name": "s", "model": "lab", "data": given, "evaluate": {"samples": 2}})


def test_a_suite_may_be_sampled_in_its_own_way(tmp_path: Path) -> None:
    plain = recipe(tmp_path, {"a": ("one?",), "b": ("two?",)})
    suites = {**plain.data.model_dump()["suites"]}
    suites["a"] |= {"samples": 10, "temperature": 1.0, "max_tokens": 30}
    own = parse_recipe({**plain.model_dump(), "data": {**plain.data.model_dump(), "suites": suites}})
    assert (settings_of(own, "a").samples, settings_of(own, "a").temperature) == (10, 1.0)
    assert settings_of(own, "a").max_tokens == 30 and settings_of(own, "a").top_p == own.evaluate.top_p
    assert settings_of(own, "b") == own.evaluate
    # it changes the evaluation, and nothing that comes before it
    assert data_inputs(own) == data_inputs(plain)


def test_one_prompt_in_two_suites_is_refused_or_dropped_and_listed(tmp_path: Path) -> None:
    suites = {"a": ("one?", "two?"), "b": ("Two ?", "three?")}
    with pytest.raises(InputError, match="'b-Two \\?' of suite 'b' is 'a-two\\?' of suite 'a'"):
        prepare(recipe(tmp_path, suites), tmp_path / "work")
    prepare(recipe(tmp_path, suites, on_bad="drop"), tmp_path / "dropped")
    kept = {suite.name: [p.prompt for p in suite.problems] for suite in load_inputs(tmp_path / "dropped").suites}
    assert kept == {"a": ["one?", "two?"], "b": ["three?"]}
    (line,) = read_dropped(tmp_path / "dropped")
    assert "suite 'a' has 'a-two?'" in line


def test_what_training_shows_is_refused_or_dropped_and_listed(tmp_path: Path) -> None:
    suites = {"a": ("Train 1?", "two?")}
    with pytest.raises(InputError, match="among the training prompts"):
        prepare(recipe(tmp_path, suites), tmp_path / "work")
    prepare(recipe(tmp_path, suites, on_bad="drop"), tmp_path / "dropped")
    assert [p.prompt for p in load_inputs(tmp_path / "dropped").suites[0].problems] == ["two?"]
    assert "training has" in read_dropped(tmp_path / "dropped")[0]


def test_a_suite_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no problem of suite 'a' is left"):
        prepare(recipe(tmp_path, {"a": ("train 1?",)}, on_bad="drop"), tmp_path / "work")


def test_suites_and_rehearsal_of_files_stand_beside_what_is_made(tmp_path: Path) -> None:
    rehearsal = [{"id": "r", "prompt": "keep this?", "answer": "7", "response": "7"}]
    (tmp_path / "keep.jsonl").write_text(json.dumps(rehearsal[0]) + "\n")
    made = {"problems": {"countdown3": 3}, "suites": {"countdown3": 2}}
    data = {
        "lab": made,
        "suites": {"own": {"problems": write(tmp_path / "own.jsonl", "one?"), "axis": "safety"}},
        "rehearsal": str(tmp_path / "keep.jsonl"),
    }
    prepare(parse_recipe({"name": "s", "model": "lab", "data": data}), tmp_path / "work")
    inputs = load_inputs(tmp_path / "work")
    assert [(suite.name, suite.axis) for suite in inputs.suites] == [("countdown3", "in_domain"), ("own", "safety")]
    assert [trace.id for trace in inputs.rehearsal] == ["r"]
    data["suites"] = {"countdown3": data["suites"]["own"]}
    with pytest.raises(InputError, match="two suites 'countdown3'"):
        prepare(parse_recipe({"name": "s", "model": "lab", "data": data}), tmp_path / "other")


def test_rehearsal_that_numbers_its_rows_as_the_traces_do(tmp_path: Path) -> None:
    rows = [{"id": str(i), "prompt": f"train {i}?", "answer": "7", "response": "7"} for i in range(3)]
    keep = [row | {"prompt": f"keep {row['id']}?"} for row in rows]
    for name, written in (("traces", rows), ("keep", keep)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    data = {
        "traces": str(tmp_path / "traces.jsonl"),
        "rehearsal": str(tmp_path / "keep.jsonl"),
        "suites": {"own": {"problems": write(tmp_path / "own.jsonl", "one?"), "axis": "safety"}},
    }
    made = parse_recipe({"name": "s", "model": "lab", "data": data, "curate": {"by": "none", "rehearsal": 0.5}})
    prepare(made, tmp_path / "work")
    inputs = load_inputs(tmp_path / "work")
    assert [trace.id for trace in inputs.rehearsal] == ["rehearsal-0", "rehearsal-1", "rehearsal-2"]
    curate_traces(made, inputs, tmp_path / "work")
    assert len(list(read_traces(tmp_path / "work" / "kept.parquet"))) == 6


@pytest.mark.parametrize(
    ("response", "fault"),
    [("<think>I never stop and go on 19", "truncated"), ("<think>7</think>", "no response after the thinking")],
)
def test_a_rehearsal_trace_without_an_answer_is_never_trained_on(tmp_path: Path, response: str, fault: str) -> None:
    (tmp_path / "keep.jsonl").write_text(json.dumps({"prompt": "keep?", "response": response, "answer": "7"}) + "\n")
    data = {"lab": {"problems": {"countdown3": 3}, "suites": {"countdown3": 2}}}
    whole = {"name": "s", "model": "lab", "data": data | {"rehearsal": str(tmp_path / "keep.jsonl")}}
    with pytest.raises(InputError, match=fault) as caught:
        prepare(parse_recipe(whole), tmp_path / "work")
    assert caught.value.row == 1
    whole["data"]["on_bad"] = "drop"
    prepare(parse_recipe(whole), tmp_path / "work")
    assert load_inputs(tmp_path / "work").rehearsal == []
