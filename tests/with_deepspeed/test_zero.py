"""A training under DeepSpeed's ZeRO is the one that a single process does."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))
from training import TOKENIZER, lab_samples, tiny_model
from worlds import RUNS

from titer.recipe import Train
from titer.train import train
from titer.train.disk.state import read_log

SHIPPED = Path(str(resources.files("titer.train"))) / "launch" / "zero2.yaml"
WORKER = Path(__file__).with_name("zero_worker.py")


def configured(folder: Path, stage: int, **more: Any) -> Path:
    """The shipped configuration with another stage."""
    config = yaml.safe_load(SHIPPED.read_text())
    config["deepspeed_config"] |= {"zero_stage": stage, **more}
    file = folder / f"zero{stage}.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def launched(
    config: Path, out: Path, run: str, *, processes: int = 2, dies: int = 0
) -> subprocess.CompletedProcess[str]:
    """A training of worlds.py in processes of its own."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    return subprocess.run(
        [*launcher, "--num_processes", str(processes), str(WORKER), str(out), run, str(dies)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training of one process."""
    out = tmp_path_factory.mktemp("zero") / "one"
    settings, samples = RUNS["uneven"]
    train(tiny_model(), TOKENIZER, lab_samples(samples), settings, out=out, progress=False)
    return out


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_two_processes_train_as_one(stage: int, one: Path, tmp_path: Path) -> None:
    """Neither samples nor the traces of an update divide by the processes, and they have micro-batches in different
    numbers: losses, gradient norms and weights agree to 1e-5."""
    done = launched(configured(tmp_path, stage), tmp_path / "out", "uneven")
    assert done.returncode == 0, done.stderr[-5000:]
    alone, two = (read_log(folder / "log.jsonl") for folder in (one, tmp_path / "out"))
    for column in ("loss", "nll", "grad_norm", "entropy"):
        assert [row[column] for row in two] == pytest.approx([row[column] for row in alone], rel=1e-5), column
    weights = [load_file(folder / "checkpoints/step-000009/model.safetensors") for folder in (one, tmp_path / "out")]
    assert weights[0].keys() == weights[1].keys()
    for key, weight in weights[0].items():
        assert (weights[1][key] - weight).norm() <= 1e-5 * weight.norm(), key


def test_killed_it_goes_on_with_as_many_processes_and_no_others(tmp_path: Path) -> None:
    config = configured(tmp_path, 2)
    assert launched(config, tmp_path / "whole", "short").returncode == 0
    assert launched(config, tmp_path / "cut", "short", dies=6).returncode != 0
    refused = launched(config, tmp_path / "cut", "short", processes=1)
    assert "a state of 2 processes cannot be gone on with by 1 under DeepSpeed" in refused.stderr
    assert launched(config, tmp_path / "cut", "short").returncode == 0
    losses = [[row["loss"] for row in read_log(tmp_path / name / "log.jsonl")] for name in ("whole", "cut")]
    assert losses[0] == losses[1] and len(losses[0]) == 9


def test_a_state_that_was_saved_without_deepspeed_is_refused(tmp_path: Path) -> None:
    script = f"""
import sys; sys.path.insert(0, {str(WORKER.parents[1] / "train")!r})
from worlds import *
from pathlib import Path
start(Launch(1, dies=4), "short", Path({str(tmp_path / "out")!r}))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=200)
    refused = launched(configured(tmp_path, 2), tmp_path / "out", "short")
    assert "the state was not saved under DeepSpeed" in refused.stderr


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"optimizer": "muon"}, "use adamw"), ({"normalize": "weights"}, "use tokens, or fsdp2")],
)
def test_refuses_what_the_engine_has_no_place_for(settings: dict[str, str], what: str) -> None:
    from titer.errors import InputError
    from titer.train.zero import settle

    class Asked:
        distributed_type = "DEEPSPEED"
        num_processes = 2

        class state:  # noqa: N801
            class deepspeed_plugin:  # noqa: N801
                zero_stage = 2
                deepspeed_config: dict[str, Any] = {"zero_optimization": {}}  # noqa: RUF012

    with pytest.raises(InputError, match=what):
        settle(Asked(), Train(**settings))  # type: ignore[arg-type]
