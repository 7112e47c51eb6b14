"""Choosing the objective inside a run: by the prior, by a trial, and not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import titer.train
from titer.errors import InputError
from titer.lab.tasks import items
from titer.lab.teachers import explain
from titer.pipeline.data import load_inputs, prepare
from titer.pipeline.run import run
from titer.pipeline.training import trial as trial_module
from titer.pipeline.training.choose import choose_objective, chosen, held_out, trial, trial_updates
from titer.recipe import parse_recipe
from titer.records import Problem, Trace
from titer.store import read_manifest, read_table
from titer.train import Sample

DATA = {"lab": {"problems": {"countdown3": 24}, "suites": {"countdown3": 4}}}
TRAIN = {"batch_size": 8, "micro_tokens": 1024, "probe_samples": 0}


def chosen_with(choose: dict[str, Any], folder: Path) -> dict[str, Any]:
    recipe = parse_recipe(
        {"name": "c", "model": "lab", "data": DATA, "train": TRAIN, "choose": choose, "evaluate": {"max_tokens": 48}}
    )
    prepare(recipe, folder)
    inputs = load_inputs(folder)
    choose_objective(recipe, inputs, inputs.traces, folder, lambda _: None)
    (decision,) = json.loads((folder / "decisions.json").read_text())
    return {"objective": chosen(folder), **decision}


@pytest.mark.parametrize(
    ("choose", "objective", "says"),
    [
        ({}, "nll", "weak"),
        ({"strong": 0.1, "weak": 0.0}, "p", "strong"),
        ({"strong": 0.9, "weak": 0.1, "updates": 0}, "nll", "no trial"),
        ({"strong": 0.9, "weak": 0.1, "problems": 5}, "nll", "too few"),
    ],
    ids=["weak", "strong", "no trial", "too few"],
)
def test_by_the_prior(choose: dict[str, Any], objective: str, says: str, tmp_path: Path) -> None:
    found = chosen_with(choose, tmp_path)
    assert found["objective"] == found["choice"] == objective and says in found["rule"]
    assert found["evidence"]["traces measured"] == 48 == len(read_table(tmp_path / "prior.parquet"))
    assert "mean p, teacher divergent" in found["evidence"] and not (tmp_path / "trial").exists()


def test_a_trial_compares_both_on_problems_that_neither_saw(tmp_path: Path) -> None:
    found = chosen_with({"strong": 0.9, "weak": 0.1, "updates": 2, "samples": 2}, tmp_path)
    assert "accuracy of p − nll in it" in found["evidence"] and "2 updates" in found["evidence"]["the trial"]
    for arm, name in (("nll", "nll"), ("candidate", "p")):
        seen = json.loads((tmp_path / "trial" / arm / "training.json").read_text())
        assert seen["objective"] == name and seen["updates"] == 2
        assert len((tmp_path / "trial" / arm / "rollouts.jsonl").read_text().splitlines()) == 2 * 6  # a quarter of 24
        assert not (tmp_path / "trial" / arm / "checkpoints").exists()


def test_a_run_trains_with_what_was_chosen(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            **{"name": "c", "model": "lab", "data": DATA, "measure": {"problems": 0}},
            "choose": {"strong": 0.1, "weak": 0.0},
            "train": TRAIN | {"updates": 2},
            "evaluate": {"samples": 1, "max_tokens": 32},
        }
    )
    run(recipe, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "train" / "objective.json").read_text())["objective"] == "p"
    assert "With which objective?" in (tmp_path / "run" / "report.html").read_text()
    heard: list[str] = []
    run(recipe, out=tmp_path / "run", said=heard.append)
    assert "choose: unchanged, kept" in heard
    fixed = recipe.model_copy(update={"train": recipe.train.model_copy(update={"objective": "power:2"})})
    run(fixed, out=tmp_path / "run")
    assert "choose" not in read_manifest(tmp_path / "run")["stages"]


def test_a_thresholded_candidate_can_stand_for_p(tmp_path: Path) -> None:
    found = chosen_with({"strong": 0.1, "weak": 0.0, "candidate": "nll@p>=0.2"}, tmp_path)
    assert found["objective"] == "nll@p>=0.2" and found["rule"].startswith("mean p of the base is above 0.1")
    for candidate, said in (("nlll", "did you mean 'nll'"), ("nll", "no trial"), ("auto", "no trial")):
        recipe = parse_recipe({"name": "c", "model": "lab", "data": DATA, "choose": {"candidate": candidate}})
        with pytest.raises(InputError, match=said):
            run(recipe, out=tmp_path / "run")


def test_an_objective_that_cannot_be_read_stops_before_anything(tmp_path: Path) -> None:
    recipe = parse_recipe({"name": "c", "model": "lab", "data": DATA, "train": {"objective": "nlll"}})
    with pytest.raises(InputError, match="did you mean 'nll'"):
        run(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def problems_and_traces() -> tuple[list[Problem], list[Trace]]:
    made = items("countdown3", 40, seed=5, held=False)
    traces = [explain(item, teacher="convergent", seed=5) for item in made[:32]]
    return [item.problem for item in made], traces


def test_held_out_problems_have_traces_and_are_a_quarter_at_most() -> None:
    problems, traces = problems_and_traces()
    held = held_out(problems, traces, 100, seed=0)
    assert len(held) == 8 and {problem.id for problem in held} <= {trace.problem_id for trace in traces}
    assert held_out(problems, traces, 3, seed=0)[:3] != held_out(problems, traces, 3, seed=1)[:3]
    assert len(held_out(problems, traces, 3, seed=0)) == 3 and held_out([], [], 10, seed=0) == []


RECIPE = parse_recipe(
    {
        "name": "t",
        "model": "lab",
        "data": {},
        "train": {**TRAIN, "learning_rate": 3e-3},
        "choose": {"updates": 4, "samples": 2},
        "evaluate": {"max_tokens": 48},
    }
)


def test_neither_arm_trains_on_what_they_are_compared_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems, traces = problems_and_traces()
    held = held_out(problems, traces, 6, seed=0)
    seen: list[set[str]] = []
    real = titer.train.train

    def watched(model: Any, tokenizer: Any, samples: Any, *rest: Any, **options: Any) -> Any:
        seen.append({sample.trace_id for sample in samples})
        return real(model, tokenizer, samples, *rest, **options)

    monkeypatch.setattr(titer.train, "train", watched)
    trial(RECIPE, held, traces, tmp_path, lambda _: None)
    names = {problem.id for problem in held}
    rest = {trace.id for trace in traces if trace.problem_id not in names}
    assert len(rest) == 26 and seen == [rest, rest]


def test_a_trial_killed_while_it_samples_goes_on_with_what_it_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, traces = problems_and_traces()
    held = held_out(problems, traces, 6, seed=0)
    whole = trial(RECIPE, held, traces, tmp_path / "whole", lambda _: None)
    real = trial_module.collect

    def killed(*positional: Any, **options: Any) -> Any:
        if options["model"] == "p":
            raise KeyboardInterrupt
        return real(*positional, **options)

    monkeypatch.setattr(trial_module, "collect", killed)
    with pytest.raises(KeyboardInterrupt):
        trial(RECIPE, held, traces, tmp_path / "again", lambda _: None)
    monkeypatch.setattr(trial_module, "collect", real)
    assert trial(RECIPE, held, traces, tmp_path / "again", lambda _: None) == whole
    for arm in ("nll", "candidate"):
        first, second = ((tmp_path / name / arm / "rollouts.jsonl").read_text() for name in ("whole", "again"))
        assert first == second
    assert not list(tmp_path.rglob("checkpoints"))


def test_an_arm_of_the_trial_makes_no_more_updates_than_the_run() -> None:
    longer = RECIPE.model_copy(update={"choose": RECIPE.choose.model_copy(update={"updates": 60})})
    samples = [Sample(str(i), [1] * 12, 2) for i in range(32)]
    assert trial_updates(longer, samples) == 4  # an epoch of eight
    fixed = longer.model_copy(update={"train": longer.train.model_copy(update={"updates": 50})})
    assert (trial_updates(fixed, samples), trial_updates(RECIPE, samples * 100)) == (50, 4)
    for budget, updates in (({"tokens": 800}, 10), ({"hours": 2.0}, 60)):  # ten tokens of each of eight, or unknown
        asked = {"train": longer.train.model_copy(update=budget)}
        assert trial_updates(longer.model_copy(update=asked), samples) == updates
