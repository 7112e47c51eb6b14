"""What budgets of updates, tokens and hours come to, how many traces fill them, and what a run and sft make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from titer import verbs
from titer.errors import InputError
from titer.lab import make
from titer.models import load_model
from titer.pipeline.reporting.gather import gather
from titer.pipeline.run import run
from titer.pipeline.training.pick import at_random, hard_first, pick
from titer.pipeline.training.plan import pooled, read_plan
from titer.recipe import Train, parse_recipe
from titer.records import Trace, read_traces
from titer.store import read_manifest, read_table
from titer.train import unique_samples
from titer.train.disk.state import read_log

TRAIN: dict[str, Any] = {"updates": 4, "batch_size": 4, "micro_tokens": 1024, "probe_samples": 0, "objective": "nll"}


def recipe(**train: Any) -> Any:
    return parse_recipe(
        {
            "name": "r",
            "model": "lab",
            "data": {"lab": {"problems": {"countdown3": 12, "countdown4": 12}, "suites": {"countdown3": 2}}},
            "measure": {"problems": 0},
            "curate": {"keep": 1.0},
            "train": {**TRAIN, **train},
            "evaluate": {"samples": 1, "max_tokens": 8},
        }
    )


def test_a_budget_is_traces_times_epochs() -> None:
    train = Train(updates=64, batch_size=8)
    found = [unique_samples(train.model_copy(update={"repetition": times})) for times in (1, 8, 32, 64)]
    assert found == [512, 64, 16, 8]
    with pytest.raises(InputError, match="64 updates of 8 traces, each shown 100 times, are 5 different traces: fewer"):
        unique_samples(train.model_copy(update={"repetition": 100}))


def test_random_subsets_are_nested() -> None:
    assert set(at_random(100, 3)[:10]) < set(at_random(100, 3)[:40]) and at_random(100, 3) != at_random(100, 4)
    assert sorted(at_random(100, 3)) == list(range(100))


def trace(name: int, domain: str) -> Trace:
    return Trace(id=str(name), problem_id=str(name), prompt="p", response="r", domain=domain)


def test_the_hardest_come_first_domains_in_turn_and_noise_last() -> None:
    traces = [trace(i, "a" if i < 16 else "b") for i in range(20)]
    losses = {str(i): 9.0 if i == 0 else 1.0 + i / 10 if i < 16 else i / 10 for i in range(20)}
    order = hard_first(traces, losses)
    assert order[-1] == 0  # of twenty the one of the highest loss
    assert order[:6] == [15, 19, 14, 18, 13, 17] and sorted(order) == list(range(20))


def test_hard_traces_are_less_likely_for_the_base(tmp_path: Path) -> None:
    make(tmp_path, problems=40, evaluation=1)
    traces = list(read_traces(tmp_path / "traces.jsonl"))
    pool, too_long = pooled(load_model("lab"), traces, Train())
    assert not too_long
    picked = pick(pool, 16, "hard", seed=0)
    losses = [picked.losses[trace.id] for trace in picked.traces]
    assert len(picked.traces) == 16 and len(picked.losses) == len(traces)
    assert sum(losses) / 16 > sum(picked.losses.values()) / len(traces) + 0.05
    assert picked.traces == [trace for trace in traces if trace in picked.traces]  # in their old order
    assert pick(pool, 16, "random", seed=0).losses == {}


def test_a_run_repeats_as_its_recipe_says(tmp_path: Path) -> None:
    run(recipe(repetition=2, pick="hard"), out=tmp_path)
    shown = list(read_traces(tmp_path / "plan" / "planned.parquet"))
    (decision,) = json.loads((tmp_path / "plan" / "decisions.json").read_text())
    assert len(shown) == 8 and decision["choice"] == "8 traces, each 2 times: 4 updates of 4"
    assert decision["evidence"]["traces kept"] == 48 == len(read_table(tmp_path / "plan" / "losses.parquet"))
    (trained,) = json.loads((tmp_path / "train" / "decisions.json").read_text())
    assert trained["evidence"]["traces"] == 8 and trained["evidence"]["epochs"] == 2
    unseen = list(read_traces(tmp_path / "plan" / "unseen.parquet"))
    assert unseen and not {one.problem_id for one in unseen} & {one.problem_id for one in shown}
    # what is settled can be read again, as a launched training does
    settled = read_plan(tmp_path / "plan", recipe(repetition=2, pick="hard").train)
    assert Train.model_validate(settled.model_dump()) == settled
    rows = read_log(tmp_path / "train" / "unseen.jsonl")
    assert [row["step"] for row in rows] == [0, 4] == [row.step for row in gather(tmp_path).unseen]
    run(recipe(), out=tmp_path)
    assert "plan" not in read_manifest(tmp_path)["stages"]
    (trained,) = json.loads((tmp_path / "train" / "decisions.json").read_text())
    assert trained["evidence"]["traces"] == 48


def test_fewer_traces_than_the_budget_takes_are_all_shown_more_often(tmp_path: Path) -> None:
    make(tmp_path, problems=4, evaluation=1)
    settings = Train(**{**TRAIN, "updates": 8, "repetition": 2.0})
    result = verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=settings)
    assert result.traces == 8  # of the sixteen that there would be room for
    fewer = settings.model_copy(update={"repetition": 8.0})
    assert verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "few", settings=fewer).traces == 4


def test_a_budget_too_small_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"4 updates of 4 traces, each shown 8 times, are 2 different traces"):
        run(recipe(repetition=8), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match="repetition needs a budget to fill"):
        recipe(repetition=8, updates=None)


def test_a_run_makes_updates_of_its_tokens(tmp_path: Path) -> None:
    run(recipe(updates=None, tokens=2000, repetition=2), out=tmp_path)
    (decision,) = json.loads((tmp_path / "plan" / "decisions.json").read_text())
    updates = json.loads((tmp_path / "plan" / "plan.json").read_text())["updates"]
    log = read_log(tmp_path / "train" / "log.jsonl")
    assert len(log) == updates and decision["rule"].startswith("the budget is 2,000 trained tokens; train.repetition 2")
    assert sum(row["trained_tokens"] for row in log) == pytest.approx(2000, rel=0.25)
    assert len(list(read_traces(tmp_path / "plan" / "planned.parquet"))) == updates * 4 / 2


def test_hours_are_measured_once(tmp_path: Path) -> None:
    make(tmp_path, problems=8, evaluation=1)
    settings = Train(**{**TRAIN, "updates": None, "hours": 2 / 3600})
    result = verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=settings)
    (work,) = (tmp_path / "sft" / "plan").iterdir()
    seconds = json.loads((work / "seconds.json").read_text())
    assert result.updates == max(1, round(2 / seconds)) and 0 < seconds < 2
    assert not (work / "warm-up").exists()
    assert verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=settings) == result
    other = settings.model_copy(update={"batch_size": 2})  # measured anew, and refused: another training stands there
    with pytest.raises(InputError, match="batch_size"):
        verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=other)
    assert len(list((tmp_path / "sft" / "plan").iterdir())) == 2


def test_tokens_are_those_of_the_traces_that_are_picked(tmp_path: Path) -> None:
    make(tmp_path, problems=40, evaluation=1)
    settings = Train(**{**TRAIN, "updates": None, "tokens": 6000, "repetition": 3.0, "pick": "hard"})
    verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=settings)
    log = read_log(tmp_path / "sft" / "log.jsonl")
    assert sum(row["trained_tokens"] for row in log) == pytest.approx(6000, rel=0.12)


def test_too_long_traces_are_not_planned_with(tmp_path: Path) -> None:
    make(tmp_path, problems=8, evaluation=1)
    traces = list(read_traces(tmp_path / "traces.jsonl"))
    pool, too_long = pooled(load_model("lab"), traces, Train(max_length=120, too_long="drop"))
    assert 0 < len(pool.traces) == len(pool.samples) < 16 and len(pool.traces) + len(too_long) == 16
    assert [trace.id for trace in pool.traces] == [sample.trace_id for sample in pool.samples]
    assert max(len(sample.ids) for sample in pool.samples) <= 120
    settings = Train(**{**TRAIN, "repetition": 1.0, "max_length": 10, "too_long": "drop"})
    with pytest.raises(InputError, match="no trace is left to train on"):
        verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=settings)
