"""Choosing the objective inside a run: by the prior, by a trial, and not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from titer.errors import InputError
from titer.pipeline.choose import choose_objective, chosen, held_out
from titer.pipeline.data import load_inputs, prepare
from titer.pipeline.run import run
from titer.recipe import parse_recipe
from titer.store import read_manifest, read_table

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
    assert "trial of 2 updates an arm, accuracy of p − nll" in found["evidence"]
    for arm in ("nll", "p"):
        seen = json.loads((tmp_path / "trial" / arm / "training.json").read_text())
        assert seen["objective"] == arm and seen["updates"] == 2
        assert len((tmp_path / "trial" / arm / "rollouts.jsonl").read_text().splitlines()) == 2 * 6  # a quarter of 24
        assert not (tmp_path / "trial" / arm / "checkpoints").exists()


def test_held_out_problems_have_traces() -> None:
    recipe = parse_recipe({"name": "c", "model": "lab", "data": DATA})
    assert held_out([], [], 10, recipe.seed) == []


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


def test_an_objective_that_cannot_be_read_stops_before_anything(tmp_path: Path) -> None:
    recipe = parse_recipe({"name": "c", "model": "lab", "data": DATA, "train": {"objective": "nlll"}})
    with pytest.raises(InputError, match="did you mean 'nll'"):
        run(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
