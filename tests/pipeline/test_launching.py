"""A training in processes of its own gives what a training in this process gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file

from titer.errors import InputError
from titer.lab import make_lab
from titer.pipeline.training.launching import command_of, configuration
from titer.pipeline.training.train import train_model
from titer.recipe import LabData, Recipe, Train, load_recipe
from titer.train.disk.state import read_log

TORCHRUN = "torchrun --standalone --nproc_per_node 2"


def recipe(launch: str = "") -> Recipe:
    settings = Train(updates=3, batch_size=6, objective="nll", precision="fp32", launch=launch)
    return load_recipe("sft").model_copy(update={"train": settings})


def test_two_launched_processes_leave_what_one_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    traces = make_lab(LabData(problems={"countdown3": 12}, suites={}), seed=0).traces
    for name, launch in (("alone", ""), ("launched", TORCHRUN)):
        train_model(recipe(launch), traces, traces[:2], tmp_path / name, progress=False)
    alone, launched = (read_log(tmp_path / name / "log.jsonl") for name in ("alone", "launched"))
    assert [row["loss"] for row in launched] == pytest.approx([row["loss"] for row in alone], rel=1e-5)
    files = [{path.name for path in (tmp_path / name).iterdir()} for name in ("alone", "launched")]
    assert files[0] == files[1]
    decided = [(tmp_path / name / "decisions.json").read_text() for name in ("alone", "launched")]
    assert decided[0] == decided[1]


def test_what_a_launched_training_refuses_ends_the_run_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    traces = make_lab(LabData(problems={"countdown3": 2}, suites={}), seed=0).traces
    few = recipe("torchrun --standalone --nproc_per_node 1")
    bad = few.model_copy(update={"train": few.train.model_copy(update={"max_length": 100_000})})
    with pytest.raises(InputError, match=r"train\.launch.*status 1"):
        train_model(bad, traces, [], tmp_path, progress=False)
    assert "100000 tokens, but the model has" in capfd.readouterr().err


def test_other_commands_are_no_launchers() -> None:
    for command in ("rm -rf /", "accelerate config", "ddp please"):
        with pytest.raises(InputError, match="no launcher"):
            load_recipe("sft", [f"train.launch={command}"])


def test_a_process_for_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(InputError, match="there is none"):
        command_of("fsdp2")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 8)
    command = command_of("fsdp2")
    assert command[:3] == ["accelerate", "launch", "--config_file"] and command[-2:] == ["--num_processes", "8"]


@pytest.mark.parametrize(("name", "kind"), [("ddp", "MULTI_GPU"), ("fsdp2", "FSDP"), ("zero2", "DEEPSPEED")])
def test_accelerate_takes_the_configurations(name: str, kind: str) -> None:
    assert load_config_from_file(str(configuration(name))).distributed_type == kind
