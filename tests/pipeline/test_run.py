"""The whole path on the lab model: what it leaves, what it skips, and that killing it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from titer.errors import InputError
from titer.pipeline.data import load_inputs
from titer.pipeline.going import checkpoints_of
from titer.pipeline.reporting.logs import P_BINS, training_rows, updates_of
from titer.pipeline.reporting.report import report
from titer.pipeline.run import run
from titer.recipe import parse_recipe
from titer.records import Problem, Trace, read_rollouts, write_records
from titer.store import read_manifest, read_table
from titer.traces import BEHAVIOURS
from titer.train.disk.state import read_log
from titer.train.watch.telemetry import BINS
from titer.verbs.route import route

MINI: dict[str, Any] = {
    "name": "mini",
    "model": "lab",
    "seed": 1,
    "data": {"lab": {"problems": {"countdown3": 40}, "suites": {"countdown3": 8, "ordered": 6}}},
    "measure": {"problems": 6, "samples": 4, "max_tokens": 48},
    "train": {"epochs": 3, "batch_size": 16, "micro_tokens": 1024, "probe_samples": 10, "save_seconds": 0.01},
    "evaluate": {"samples": 2, "max_tokens": 64},
    "generate": {"chunk": 8},
}
STAGES = ["data", "measure", "route", "curate", "choose", "train", "evaluate"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished mini run, left alone from start to end."""
    out = tmp_path_factory.mktemp("runs") / "mini"
    run(parse_recipe(MINI), out=out)
    return out


def tables(folder: Path) -> dict[str, Any]:
    """Everything that evaluation came to."""
    return {
        "rollouts": list(read_rollouts(folder / "evaluate" / "rollouts.parquet")),
        "scores": read_table(folder / "scores.parquet"),
        "differences": read_table(folder / "differences.parquet"),
        "rates": read_table(folder / "measure" / "solve_rates.parquet"),
    }


def test_a_run_leaves_what_it_promises(finished: Path) -> None:
    manifest = read_manifest(finished)
    assert list(manifest["stages"]) == STAGES
    assert manifest["stages"]["train"]["versions"]["torch"] and manifest["stages"]["train"]["inputs"]["seed"] == 1
    summary = json.loads((finished / "summary.json").read_text())
    low, mid, high = summary["in_domain"]["difference"]
    assert low <= mid <= high and mid == pytest.approx(summary["in_domain"]["trained"] - summary["in_domain"]["base"])
    assert summary["seconds"] > 0 and set(summary) >= {"in_domain", "out_of_domain"}
    page = (finished / "report.html").read_text()
    assert "<html" in page and '<section id="teachers">' in page and page.count('<article id="trace-pairs-') == 12
    assert all(f'data-figure="{name}"' in page for name in ("p_map", "pull_map", "pull_kinds"))
    assert yaml.safe_load((finished / "recipe.yaml").read_text())["train"]["batch_size"] == 16
    assert not (finished / "work").exists()


def test_the_log_says_by_kind_of_step_where_the_gradient_goes(finished: Path) -> None:
    rows = read_log(finished / "train" / "log.jsonl")
    shown = training_rows(finished / "train" / "log.jsonl")
    assert P_BINS == BINS and len(rows) == len(shown)
    for row, drawn in zip(rows, shown, strict=True):
        assert list(drawn.tokens) == list(drawn.pull) == [*BEHAVIOURS, ""]
        assert sum(map(sum, drawn.tokens.values())) == row["trained_tokens"]
        assert [pull for pulls in drawn.pull.values() for pull in pulls] == row["pull_histogram"]
    for kind in ("propose", "deduce", "verify", ""):
        assert sum(sum(drawn.tokens[kind]) for drawn in shown) > 0


def test_a_log_without_kinds_or_without_histograms_is_read_too(finished: Path, tmp_path: Path) -> None:
    row = read_log(finished / "train" / "log.jsonl")[0]
    plain = {key: value for key, value in row.items() if not key.endswith("_histogram")}
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps(plain | {"p_histogram": [1] * BINS}) + "\n" + json.dumps(plain) + "\n")
    unlabelled, old = training_rows(file)
    assert unlabelled.tokens == {"": [1] * BINS} and unlabelled.pull == old.tokens == old.pull == {}


def test_the_ledger_names_its_round(finished: Path) -> None:
    assert {row["round"] for row in read_table(finished / "route" / "ledger.parquet")} == {1}


def test_a_run_measures_for_titer_route_too_which_knows_another_problem_by_the_same_id(
    finished: Path, tmp_path: Path
) -> None:
    measured = {row["problem_id"] for row in read_table(finished / "measure" / "solve_rates.parquet")}
    problems = [one for one in load_inputs(finished / "data").problems if one.id in measured]
    write_records(tmp_path / "p.jsonl", problems)
    assert len(problems) == 6 and not route(tmp_path / "p.jsonl", finished / "measure", out=tmp_path / "out").dropped
    write_records(tmp_path / "p.jsonl", [replace(problems[0], prompt="another?"), *problems[1:]])
    with pytest.raises(InputError, match="another problem was measured by the id"):
        route(tmp_path / "p.jsonl", finished / "measure", out=tmp_path / "out")


def test_every_rollout_is_there_once(finished: Path) -> None:
    rollouts = tables(finished)["rollouts"]
    assert len({(r.model, r.suite, r.problem_id, r.sample) for r in rollouts}) == len(rollouts) == 2 * 2 * (8 + 6)


def test_decisions_carry_their_rule_and_numbers(finished: Path) -> None:
    for stage in ("measure", "curate", "train"):
        (decision,) = json.loads((finished / stage / "decisions.json").read_text())
        assert decision["rule"] and decision["evidence"] and decision["setting"] == stage


def test_nothing_runs_again_and_only_what_changed_does(finished: Path) -> None:
    heard: list[str] = []
    run(parse_recipe(MINI), out=finished, said=heard.append)
    assert heard == [f"{stage}: unchanged, kept" for stage in STAGES]
    heard.clear()
    run(parse_recipe(MINI | {"evaluate": {"samples": 1, "max_tokens": 64}}), out=finished, said=heard.append)
    assert [line for line in heard if "unchanged" in line] == [f"{stage}: unchanged, kept" for stage in STAGES[:-1]]
    run(parse_recipe(MINI), out=finished)


def test_what_changes_speed_alone_runs_nothing_again(finished: Path) -> None:
    heard: list[str] = []
    faster = {"train": MINI["train"] | {"micro_tokens": 512}, "generate": MINI["generate"] | {"batch_size": 3}}
    run(parse_recipe(MINI | faster), out=finished, said=heard.append)
    assert heard == [f"{stage}: unchanged, kept" for stage in STAGES]


def test_a_run_that_drops_no_trace_has_a_report_too(tmp_path: Path) -> None:
    short = MINI["train"] | {"epochs": 1, "objective": "nll"}
    run(
        parse_recipe(MINI | {"curate": {"keep": 1.0}, "measure": {"problems": 0}, "train": short}), out=tmp_path / "run"
    )
    assert read_table(tmp_path / "run" / "curate" / "reasons.parquet") == []
    assert (tmp_path / "run" / "report.html").exists()


def test_the_report_is_made_from_the_directory_alone(finished: Path) -> None:
    before = json.loads((finished / "summary.json").read_text())
    (finished / "report.html").unlink()
    again = report(finished)
    assert {k: v for k, v in again.items() if k not in {"seconds", "report"}} == {
        k: v for k, v in before.items() if k != "seconds"
    }
    assert (finished / "report.html").exists()


def test_killed_five_times_it_ends_with_the_same_tables(finished: Path, tmp_path: Path) -> None:
    recipe, script = tmp_path / "mini.yaml", Path(__file__).with_name("killed_run.py")
    recipe.write_text(yaml.safe_dump(MINI))
    done = subprocess.run(
        [sys.executable, str(script), str(recipe), str(tmp_path / "killed")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert tables(tmp_path / "killed") == tables(finished)


PROBLEM = Problem(id="p1", prompt="What is 1 + 1?", answer="2", verifier="exact")
OTHER = Problem(id="p2", prompt="What is 2 + 2?", answer="4", verifier="exact")
TRACE = Trace(id="t1", problem_id="p1", prompt=PROBLEM.prompt, response="Answer: 2")


def from_files(folder: Path, problems: list[Problem], traces: list[Trace], suite: list[Problem]) -> dict[str, Any]:
    for name, rows in {"problems": problems, "traces": traces, "suite": suite}.items():
        write_records(folder / f"{name}.jsonl", rows)
    data = {name: str(folder / f"{name}.jsonl") for name in ("problems", "traces")}
    return {**MINI, "data": {**data, "suites": {"s": {"problems": str(folder / "suite.jsonl")}}}}


def test_ordinary_files_are_read(tmp_path: Path) -> None:
    recipe = parse_recipe(from_files(tmp_path, [PROBLEM], [TRACE], [OTHER]))
    from titer.pipeline.data import prepare

    prepare(recipe, tmp_path / "data")
    inputs = load_inputs(tmp_path / "data")
    assert (inputs.problems, inputs.traces) == ([PROBLEM], [TRACE])
    assert [(s.name, s.axis, s.problems) for s in inputs.suites] == [("s", "in_domain", [OTHER])]


def test_dropped_rows_are_counted_and_listed_and_take_their_traces_with_them(tmp_path: Path) -> None:
    recipe = from_files(tmp_path, [PROBLEM, NO_NUMBERS], [TRACE, STRAY], [OTHER])
    recipe["data"] |= {"on_bad": "drop"}
    with (tmp_path / "suite.jsonl").open("a") as file:
        file.write("not JSON\n")
    heard: list[str] = []
    run(parse_recipe(recipe | {"measure": {"problems": 0}}), out=tmp_path / "run", said=heard.append)
    dropped = json.loads((tmp_path / "run" / "data" / "dropped_rows.json").read_text())
    assert [line.split(":")[0].removeprefix(str(tmp_path) + "/") for line in dropped] == [
        "suite.jsonl, row 2",
        "problems.jsonl, row 2, field 'meta.numbers'",
        "traces.jsonl, row 2, field 'problem_id'",
    ]
    assert [line for line in heard if line.startswith("dropped: ")] == [f"dropped: {line}" for line in dropped]
    assert "3 dropped" in (tmp_path / "run" / "report.html").read_text()


STRAY = Trace(id="t", problem_id="p9", prompt="?", response="2")
WRONG = Trace(id="t", problem_id="p1", prompt="?", response="Answer: 3")
SAME_IN_OTHER_WORDS = Problem(id="x", prompt="what  is 1 + 1", answer="2", verifier="exact")
NO_NUMBERS = Problem(id="p9", prompt=PROBLEM.prompt, answer="2", verifier="countdown")
REFUSED = {
    "a trace of an unknown problem": ([PROBLEM], [STRAY], [OTHER], "traces.jsonl, row 1, .*'p9', which is not"),
    "an evaluation problem among the training ones": ([PROBLEM], [TRACE], [PROBLEM], "(?i)evaluation"),
    "the same after normalising": ([PROBLEM], [TRACE], [SAME_IN_OTHER_WORDS], "(?i)evaluation"),
    "a problem its verifier cannot take": ([NO_NUMBERS], [TRACE], [OTHER], "problems.jsonl, row 1, .*numbers"),
    "only wrong traces": ([PROBLEM], [WRONG], [OTHER], "no trace is left"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str, tmp_path: Path) -> None:
    problems, traces, suite, fault = REFUSED[case]
    recipe = parse_recipe(from_files(tmp_path, problems, traces, suite) | {"measure": {"problems": 0}})
    with pytest.raises(InputError, match=fault) as caught:
        run(recipe, out=tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_files_that_number_their_questions_alike_are_refused_or_dropped(tmp_path: Path) -> None:
    from titer.pipeline.data import prepare

    first = replace(TRACE, answer="2", verifier="exact")
    reworded = replace(first, id="t2", prompt=f"{TRACE.prompt} Think first.", response="Answer: two")
    other = replace(first, id="t3", prompt="What is 3 + 3?", answer="6", response="Answer: 6")
    tree = from_files(tmp_path, [], [first, reworded, other], [OTHER])
    del tree["data"]["problems"]
    with pytest.raises(InputError, match=r"traces.jsonl, row 3, .*'t3' calls another question 'p1' than an earlier"):
        prepare(parse_recipe(tree), tmp_path / "data")
    tree["data"]["on_bad"] = "drop"
    prepare(parse_recipe(tree), tmp_path / "data")
    inputs = load_inputs(tmp_path / "data")
    assert [trace.id for trace in inputs.traces] == ["t1", "t2"] and inputs.problems[0].answer == "2"


@pytest.mark.parametrize("data", [{}, {"lab": {}, "traces": "x.jsonl"}])
def test_refuses_no_source_and_two_sources(data: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exactly one of traces, lab and gym|no such file"):
        run(parse_recipe({"model": "lab", "data": data}), out=tmp_path / "run")


def test_checkpoints_in_between_are_asked_what_a_budget_allows(tmp_path: Path) -> None:
    evaluate = {"samples": 1, "max_tokens": 48, "checkpoints": "grid", "tokens": 400}
    train = {"objective": "nll", "updates": 21, "batch_size": 4, "probe_samples": 0}
    lab = {"problems": {"countdown3": 30}, "suites": {"countdown3": 24, "sort": 12}}
    recipe = parse_recipe(
        {**MINI, "data": {"lab": lab}, "measure": {"problems": 0}, "train": train, "evaluate": evaluate}
    )
    summary = run(recipe, out=tmp_path)
    asked = Counter((row.model, row.suite) for row in read_rollouts(tmp_path / "evaluate" / "rollouts.parquet"))
    assert asked["base", "countdown3"] == asked["trained", "countdown3"] == 24
    assert 8 <= asked["step-000010", "countdown3"] == asked["step-000020", "countdown3"] < 24
    assert summary["in_domain"]["problems"] == 24 and summary["call"]
    decisions = json.loads((tmp_path / "evaluate" / "decisions.json").read_text())
    assert "points" in decisions[0]["evidence"]["half an interval, in-domain"]
    assert "axis_path" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("curate", "said"),
    [
        ({"by": "cue_shar"}, r"field 'curate.by': no feature 'cue_shar' to rank by; use one of: none, step_ratio"),
        ({"by": "step_ratio"}, r"field 'curate.paired_with': step_ratio without a teacher to pair with"),
    ],
)
def test_what_no_trace_is_needed_to_refuse_is_refused_first(curate: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        run(parse_recipe(MINI | {"curate": curate}), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("block", ["problems", "suites"])
def test_a_lab_that_makes_nothing_is_refused(block: str, tmp_path: Path) -> None:
    lab = {"problems": {"countdown3": 2}, "suites": {"countdown3": 1}} | {block: {"countdown3": 0}}
    with pytest.raises(InputError, match=rf"field 'data.lab.{block}': nothing is to be made"):
        run(parse_recipe(MINI | {"data": {"lab": lab}}), out=tmp_path / "run")


def test_a_gym_that_makes_nothing_is_refused_by_its_own_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"field 'data.gym.problems': nothing is to be made"):
        run(parse_recipe(MINI | {"data": {"gym": {}}}), out=tmp_path / "run")


def test_a_training_without_checkpoints_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "empty"):
        with pytest.raises(InputError, match="no checkpoint stands here; remove the folder and run again"):
            checkpoints_of(folder)
    for name in ("step-000020", "step-20", "step-000020.bak", "step-copy-1", "step-1000000", "step-000100"):
        (tmp_path / "empty" / "checkpoints" / name).mkdir()
    (tmp_path / "empty" / "checkpoints" / "step-000040").touch()
    found = checkpoints_of(tmp_path / "empty")  # copies that somebody made are none, nor is a file
    assert [(step, path.name) for step, path in found.items()] == [
        (20, "step-000020"),
        (100, "step-000100"),
        (1_000_000, "step-1000000"),
    ]
    assert updates_of(tmp_path / "empty") == 1_000_000


def test_a_launcher_without_a_device_is_refused_first(tmp_path: Path) -> None:
    if torch.accelerator.is_available():
        pytest.skip("here is one")
    with pytest.raises(InputError, match=r"train.launch.*fsdp2 starts a process for each device, and there is none"):
        run(parse_recipe(MINI | {"train": MINI["train"] | {"launch": "fsdp2"}}), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
