"""Reproductions at another scale than the lab's: the lab's own model, as a folder, stands in for a pretrained one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from titer.errors import InputError
from titer.lab import build as lab_build
from titer.models import load_model, locate
from titer.records import read_rollouts
from titer.reproduce import NAMES
from titer.reproduce.bases import TAUGHT, teach
from titer.reproduce.engine import folder_of, run_experiment
from titer.reproduce.experiment import find
from titer.reproduce.findings import branching, continuum
from titer.reproduce.findings.recovery import arm as recovery_arm
from titer.reproduce.findings.repetition import arm as repetition_arm
from titer.reproduce.findings.stages import settings as stages_settings
from titer.reproduce.findings.stages import student

FOLDER = locate("lab")


class Started(Exception):
    """Carries the model that an arm would have started from."""


def stop_at(*arguments: Any, **_: Any) -> Any:
    raise Started(arguments[0])


@pytest.mark.parametrize("name", NAMES)
def test_every_finding_has_the_scale_of_smollm2(name: str) -> None:
    lab = find(name)
    large = lab.at("smollm2")
    assert lab.at("lab") is lab and set(large.settings) == set(lab.settings)
    assert large.settings["model"] == "smollm2" and lab.settings["model"] == "lab"
    # rollouts have room: the longest of the lab's traces has 1.7 times as many of its tokens
    assert large.settings["max_tokens"] > 1.6 * lab.settings["max_tokens"]
    assert (TAUGHT in large.shared) == (name != "continuum") and set(lab.shared) <= set(large.shared)
    assert folder_of(name, None, "smollm2") == Path(f"runs/reproduce-{name}-smollm2")
    with pytest.raises(InputError, match="no scale 'smollm3'; use one of: lab, smollm2"):
        lab.at("smollm3")


@pytest.mark.usefixtures("jobs_here")
def test_a_tiny_experiment_from_a_model_that_is_taught_first(tmp_path: Path) -> None:
    tiny = {"problems": 4, "epochs": 1, "batch_size": 4, "samples": 1, "max_tokens": 8}
    tiny |= dict.fromkeys(("countdown3", "countdown4", "ordered", "subset"), 1)
    experiment = replace(
        branching.EXPERIMENT,
        arms=("base", "convergent"),
        claims=(),
        scales={"folder": {**tiny, "model": FOLDER, "teaching": 1}},
    )
    table = run_experiment(experiment.at("folder"), seeds=1, jobs=1, out=tmp_path)
    assert table["settings"]["model"] == FOLDER and table["shared"][TAUGHT]["updates"] == 1
    rollouts = read_rollouts(tmp_path / "base-seed-0" / "eval" / "countdown3.rollouts.jsonl")
    assert [rollout.model for rollout in rollouts] == [str(tmp_path / TAUGHT / "model")]
    assert table["arms"]["convergent"]["updates"]["values"] == [1]


def test_a_model_goes_on_from_what_it_knows(tmp_path: Path) -> None:
    assert teach(FOLDER, 1, tmp_path) == {"updates": 1}
    old, new = (load_model(name).model.state_dict() for name in ("lab", str(tmp_path / "model")))
    changes = [float((old[name] - new[name]).abs().max()) for name in old]
    assert 0 < max(changes) < 0.01  # an update of AdamW, not another model


def test_arms_start_from_the_taught_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (branching, recovery_arm, repetition_arm, student):
        monkeypatch.setattr(module, "fine_tune", stop_at)
    taught, arm = str(tmp_path / TAUGHT / "model"), tmp_path / "arm-seed-0"
    other = {"model": FOLDER, "teaching": 1}
    with pytest.raises(Started, match=taught):
        branching.job("convergent", 0, branching.Settings(problems=4)._asdict() | other, arm)
    with pytest.raises(Started, match=taught):
        recovery_arm.run_arm("verified", 0, recovery_arm.Settings(problems=4)._replace(**other), arm)
    with pytest.raises(Started, match="weak-base/model"):
        recovery_arm.run_arm("weak", 0, recovery_arm.Settings(problems=4)._replace(**other), arm)
    with pytest.raises(Started, match=taught):
        cell = repetition_arm.Cell("short", 1, 4)
        repetition_arm.run_cell(cell, 0, repetition_arm.Settings(pool=4)._asdict() | other, arm)
    with pytest.raises(Started, match=taught):
        student.warm_up(stages_settings.Settings(warm_updates=1)._replace(**other), arm)


def test_students_and_the_weak_base_are_made_from_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(lab_build, "build", lambda out, **how: asked.append((how["start"], how["phases"][0])))
    settings = {**continuum.Settings(pretraining=2)._asdict(), "model": FOLDER}
    continuum.prepare("strong", settings, tmp_path)
    recovery_arm.prepare_weak(recovery_arm.Settings(weak_updates=3, model=FOLDER), tmp_path)
    continuum.prepare("strong", continuum.Settings(pretraining=2)._asdict(), tmp_path)
    assert [(start, phase.updates, phase.learning_rate) for start, phase in asked] == [
        (FOLDER, 2, 3e-4),
        (FOLDER, 3, 3e-4),
        (None, 2, 3e-3),
    ]
