"""The logs of several trainings as one: rounds of fine-tuning and RL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from titer.pipeline.reporting.gather import _headline, _last_step, _trainings
from titer.pipeline.reporting.logs import logs_of
from titer.recipe import Recipe, parse_recipe
from titer.report import ReportData, render


def write(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def tuned(stage: Path, updates: int, *, fired: int | None = None) -> None:
    figures = {"loss": 1.0, "token_accuracy": 0.5, "learning_rate": 1e-3, "nll": 1.0}
    write(stage / "log.jsonl", [{"step": i, "epoch": i / 2, **figures} for i in range(1, updates + 1)])
    write(stage / "probe.jsonl", [{"step": i, **figures} for i in (0, updates)])
    write(stage / "endpoint.json", [{"fired": fired}])
    (stage / "checkpoints" / f"step-{updates:06d}").mkdir(parents=True)


def reinforced(stage: Path, updates: int) -> None:
    write(stage / "log.jsonl", [{"step": i, "reward": i / 10} for i in range(1, updates + 1)])
    (stage / "checkpoints" / f"step-{updates:06d}").mkdir(parents=True)


def recipe() -> Recipe:
    return parse_recipe({"name": "r", "model": "lab", "data": {"lab": {}}, "train": {"objective": "auto"}})


def test_updates_are_counted_over_all_rounds_up_to_the_one_that_is_kept(tmp_path: Path) -> None:
    for number, updates in (("", 4), ("-2", 6), ("-3", 8)):
        tuned(tmp_path / f"train{number}", updates, fired=updates)
        reinforced(tmp_path / f"rl{number}", 3)
        write(tmp_path / f"train{number}" / "objective.json", [{"objective": f"p:{updates}"}])
    # the third round was not kept; another run of the first put its RL behind the second's training
    names = ["train", "train-2", "rl-2", "rl", "train-3", "rl-3"]
    manifest = {"stages": {name: {"key": name, "inputs": {}} for name in names}}
    manifest["stages"]["evaluate"] = {"key": "evaluate", "inputs": {"trained": "rl-2"}}
    stages = _trainings(manifest)
    assert stages == ["train", "rl", "train-2", "rl-2"] and _last_step(tmp_path, manifest) == 16
    logs = logs_of(tmp_path, stages)
    assert [row.step for row in logs.training] == [1, 2, 3, 4, 8, 9, 10, 11, 12, 13]
    assert [row.step for row in logs.rewards] == [5, 6, 7, 14, 15, 16]
    assert [row.step for row in logs.probes] == [0, 4, 7, 13] and logs.endpoint == logs.probes[-1]
    assert _headline(recipe(), logs, stages, tmp_path) == {
        "model": "lab",
        "objective": "p:6 (auto)",
        "training": "10 updates, 5.0 epochs in 2 rounds, 6 updates of RL",
    }


def test_a_run_of_rl_alone_is_trained_and_its_rewards_are_drawn(tmp_path: Path) -> None:
    reinforced(tmp_path / "rl", 2)
    logs = logs_of(tmp_path, ["rl"])
    assert _headline(recipe(), logs, ["rl"], tmp_path)["training"] == "2 updates of RL"
    assert _headline(recipe(), logs_of(tmp_path, []), [], tmp_path)["training"] == "not yet"
    page = render(ReportData(title="rl", rewards=logs.rewards))
    assert 'data-figure="rewards"' in page and "<h2>Training</h2>" in page
