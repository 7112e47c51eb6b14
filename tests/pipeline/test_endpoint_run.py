"""A run that ends where its traces are learned: what its decision and its report say."""

from __future__ import annotations

import json
from pathlib import Path

from titer.pipeline.reporting.gather import gather
from titer.pipeline.run import run
from titer.recipe import parse_recipe

TRAIN = {
    "objective": "nll",
    "updates": 120,
    "stop": "endpoint",
    "schedule": "constant",
    "batch_size": 4,
    "learning_rate": 3e-3,
    "micro_tokens": 1024,
}


def test_the_endpoint_is_a_decision_with_its_evidence(tmp_path: Path) -> None:
    data = {"lab": {"problems": {"countdown3": 4}, "teachers": ["convergent"], "suites": {"countdown3": 2}}}
    evaluate = {"samples": 1, "max_tokens": 8}
    recipe = parse_recipe(
        {
            "name": "short",
            "model": "lab",
            "data": data,
            "measure": {"problems": 0},
            "curate": {"keep": 1.0},
            "train": TRAIN,
            "evaluate": evaluate,
        }
    )
    folder = tmp_path / "run"
    run(recipe, out=folder)
    stop = json.loads((folder / "train" / "endpoint.json").read_text())
    assert stop["end"] < 120
    shown = gather(folder)
    (decision,) = [one for one in shown.decisions if one.stage == "train"]
    assert decision.rule.startswith("token accuracy on the fixed subset is at 96%")
    assert decision.choice.startswith(f"{stop['end']} updates")
    assert decision.evidence["the endpoint's update"] == stop["fired"]
    assert shown.endpoint is not None and shown.endpoint.step == stop["fired"]
    assert f"step-{stop['end']:06d}" in {path.name for path in (folder / "train" / "checkpoints").iterdir()}
