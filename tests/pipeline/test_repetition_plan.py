"""What `repetition: auto` comes to: by token accuracy, by held-out problems, or by the paper alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from titer import verbs
from titer.errors import InputError
from titer.lab import make
from titer.pipeline.reporting.gather import gather
from titer.pipeline.run import run
from titer.pipeline.training import repetition as repetition_module
from titer.pipeline.training.repetition import decide
from titer.recipe import Plan, Recipe, Train, parse_recipe
from titer.records import read_traces
from titer.records.results import Interval
from titer.train import Probe, unique_samples
from titer.train.disk.state import read_log

TRAIN: dict[str, Any] = {
    "updates": 12,
    "batch_size": 4,
    "micro_tokens": 1024,
    "probe_samples": 0,
    "objective": "nll",
    "learning_rate": 1e-3,
    "repetition": "auto",
}


def probe(updates: int, epochs: float, accuracy: float) -> Probe:
    return Probe(updates, epochs, np.tile([1000 * accuracy, 1000.0], (20, 1)))


PROBES = [probe(20, 1, 0.75), probe(20, 8, 0.92), probe(10, 1, 0.75)]


@pytest.mark.parametrize(
    ("change", "times"),
    [
        (None, 15.5),
        (((-0.05, 0.02, 0.08), "cannot tell"), 15.5),
        (((0.01, 0.05, 0.08), "better"), 15.5),
        (((-0.09, -0.05, -0.01), "worse"), 1.0),
        (((-0.09, -0.05, -0.01), "cannot tell"), 15.5),  # too few problems differ
    ],
)
def test_token_accuracy_tells_unless_repetition_is_worse(change: Any, times: float) -> None:
    told = SimpleNamespace(change=Interval(*change[0]), better=change[1]) if change else None
    found = decide(PROBES, cast(Any, told), budget=1000, seed=0)
    assert found.times == pytest.approx(times, abs=0.2)
    assert found.evidence["the trial"] == "50 updates in three arms, 5.0% of the budget"
    assert found.evidence["epochs until the traces are learned"].startswith("15.")
    assert ("accuracy of 8 epochs − 1 in it" in found.evidence) == (change is not None)
    assert ("below new ones" in found.rule) == (times == 1.0)


@pytest.mark.parametrize("repeated", [0.75, 0.70])
def test_where_token_accuracy_does_not_rise_the_paper_tells(repeated: float) -> None:
    found = decide([PROBES[0], probe(20, 8, repeated), PROBES[2]], None, budget=1000, seed=0)
    assert found.times == 8 and "did not surely rise" in found.rule and "three arms" in found.evidence["the trial"]


def test_no_more_epochs_than_the_paper_gained_from() -> None:
    """Seen in the lab: long traces of which a short trial learns little, extrapolated to 54 epochs."""
    slow = [probe(20, 1, 0.5256), probe(20, 8, 0.5722), probe(10, 1, 0.4219)]
    found = decide(slow, None, budget=1024, seed=0)
    assert found.times == 32 and "gains nothing" in found.rule
    assert float(found.evidence["epochs until the traces are learned"].split()[0]) > 50


def recipe(share: float = 1.0, **train: Any) -> Recipe:
    lab = {"problems": {"countdown3": 60}, "teachers": ["convergent"], "suites": {"countdown3": 2}}
    return parse_recipe(
        {
            "name": "r",
            "model": "lab",
            "data": {"lab": lab},
            "measure": {"problems": 0},
            "curate": {"keep": 1.0},
            "plan": {"share": share, "problems": 8, "samples": 1},
            "train": {**TRAIN, **train},
            "evaluate": {"samples": 1, "max_tokens": 30},
        }
    )


@pytest.fixture
def short_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial of a few updates, which says nothing and is quick."""
    monkeypatch.setattr(repetition_module, "FEWEST_UPDATES", 4)


@pytest.mark.usefixtures("short_arms")
def test_a_run_tries_and_then_repeats_as_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    seen: dict[str, set[str]] = {}
    held: set[str] = set()
    train_arm, sample_arm = repetition_module.train_arm, repetition_module.sample_arm

    def training(model: str, samples: Any, settings: Train, *, seed: int, work: Path) -> str:
        seen[work.name] = {sample.trace_id for sample in samples}
        return train_arm(model, samples, settings, seed=seed, work=work)

    def sampling(one: Recipe, checkpoint: str, problems: Any, **options: Any) -> Any:
        held.update(problem.id for problem in problems)
        return sample_arm(one, checkpoint, problems, **options)

    monkeypatch.setattr(repetition_module, "train_arm", training)
    monkeypatch.setattr(repetition_module, "sample_arm", sampling)
    run(recipe(), out=tmp_path, said=said.append)

    traces = {trace.id: trace.problem_id for trace in read_traces(tmp_path / "curate" / "kept.parquet")}
    assert seen["repeated"] < seen["shorter"] < seen["once"] and len(held) == 8
    assert (len(seen["repeated"]), len(seen["shorter"]), len(seen["once"])) == (4, 8, 16)
    assert not {traces[name] for name in seen["once"]} & held  # arms see no trace of a held-out problem
    found = json.loads((tmp_path / "plan" / "repetition.json").read_text())
    shown = list(read_traces(tmp_path / "plan" / "planned.parquet"))
    assert 1 <= found["times"] <= 12 and len(shown) == min(60, round(12 * 4 / found["times"]))
    assert found["evidence"]["the trial"].startswith("10 updates in three arms")
    assert "accuracy of 8 epochs − 1 in it" in found["evidence"]
    assert len(read_log(tmp_path / "train" / "log.jsonl")) == 12 and not (tmp_path / "plan" / "trial").exists()
    (decision,) = [one for one in gather(tmp_path).decisions if one.stage == "plan"]
    assert decision.setting == "train.repetition" and found["rule"] in decision.rule
    arms = ["of 1 epochs", "of 8 epochs", "of 1 epochs in half the updates"]
    assert [line for line in said if "a trial" in line] == [f"plan: a trial {arm}" for arm in arms]

    seen.clear()
    run(recipe(), out=tmp_path)
    assert not seen


def test_a_budget_too_small_for_a_trial_gets_the_papers_fewest(tmp_path: Path) -> None:
    run(recipe(share=0.05), out=tmp_path)
    found = json.loads((tmp_path / "plan" / "repetition.json").read_text())
    assert found["times"] == 8 and "too few for a trial" in found["rule"]
    assert len(list(read_traces(tmp_path / "plan" / "planned.parquet"))) == 12 * 4 // 8


@pytest.mark.usefixtures("short_arms")
def test_a_trial_killed_in_its_last_arm_comes_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(recipe(), out=tmp_path / "whole")
    train_arm, trained = repetition_module.train_arm, []

    def training(*positional: Any, work: Path, **options: Any) -> str:
        if work.name == "shorter" and "repeated" in trained:
            trained.clear()
            raise KeyboardInterrupt
        trained.append(work.name)
        return train_arm(*positional, work=work, **options)

    monkeypatch.setattr(repetition_module, "train_arm", training)
    with pytest.raises(KeyboardInterrupt):
        run(recipe(), out=tmp_path / "cut")
    monkeypatch.setattr(repetition_module, "train_arm", train_arm)
    run(recipe(), out=tmp_path / "cut")
    for name in ("repetition.json", "plan.json", "planned.parquet"):
        whole, cut = ((tmp_path / run / "plan" / name).read_bytes() for run in ("whole", "cut"))
        assert whole == cut, name


@pytest.mark.usefixtures("short_arms")
@pytest.mark.parametrize("more", [{}, {"lora": {"rank": 2}, "packing": True}])
def test_sft_has_token_accuracy_alone(more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["titer.verbs.sft"], "Plan", lambda: Plan(share=1.0))
    make(tmp_path, problems=30, evaluation=1)
    settings = Train(**TRAIN, **more)
    result = verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=settings)
    (work,) = (tmp_path / "sft" / "plan").iterdir()
    found = json.loads((work / "repetition.json").read_text())
    assert not (work / "trial").exists() and json.loads((work / "decisions.json").read_text())
    assert result.updates == 12 and "accuracy of 8 epochs − 1 in it" not in found["evidence"]
    assert result.traces == min(60, round(12 * 4 / found["times"]))
    assert len(read_log(tmp_path / "sft" / "unseen.jsonl")) > 2
    assert verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=settings) == result


def test_auto_is_no_number_of_times() -> None:
    with pytest.raises(InputError, match="how often auto is, a run or sft measures"):
        unique_samples(Train(**TRAIN))


def test_too_few_traces_for_a_trial_are_said_to_be_shown_too_often(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, problems=3, evaluation=1)
    settings = Train(**{**TRAIN, "updates": 20})
    with caplog.at_level("WARNING"):
        result = verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=settings)
    assert result.traces == 6
    assert "6 traces fill 20 updates only when each is shown 13.3 times, not 8" in caplog.text


def test_several_processes_measure_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, problems=3, evaluation=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"train.repetition.*in one process only"):
        verbs.sft("lab", tmp_path / "traces.jsonl", out=tmp_path / "sft", settings=Train(**TRAIN))
