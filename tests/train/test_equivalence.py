"""The same data gives the same loss and gradient, however an update is cut into forward passes and processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training import gradients, lab_samples, tiny_model

from titer.objectives import objective
from titer.train.batches import micro_batches
from titer.train.scorer import Scorer
from titer.train.state import read_log

SPLITS = {"1x8": 10_000, "2x4": 230, "8x1": 1}


@pytest.mark.parametrize("spec", ["nll", "p", "nll@p>=0.2", "eaft", "deft", "iw", "0.7*p+0.3*nll"])
@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("split", SPLITS)
def test_gradient_does_not_depend_on_split_or_packing(spec: str, packing: bool, split: str) -> None:
    samples = lab_samples(8)
    loss, grads = gradients(tiny_model(), samples, objective(spec), tokens=10_000, packing=False)
    other_loss, other = gradients(tiny_model(), samples, objective(spec), tokens=SPLITS[split], packing=packing)
    assert other_loss == pytest.approx(loss, rel=1e-5)
    for name, gradient in grads.items():
        assert (other[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_splits_are_what_they_say() -> None:
    samples = lab_samples(8)
    counts = {name: len(list(micro_batches(samples, tokens=n, packing=False))) for name, n in SPLITS.items()}
    assert counts["1x8"] == 1 and counts["8x1"] == 8 and 1 < counts["2x4"] < 8


def test_packed_samples_do_not_see_each_other() -> None:
    model = tiny_model().eval()
    alone, other = lab_samples(2)
    (single,) = micro_batches([alone], tokens=10_000, packing=True)
    (packed,) = micro_batches([alone, other], tokens=10_000, packing=True)
    first = len(single.targets_N) if len(alone.ids) <= len(other.ids) else -len(single.targets_N)
    with torch.no_grad():
        lone = Scorer(model)(single, objective("nll")).logp_N
        together = Scorer(model)(packed, objective("nll")).logp_N
    kept = together[:first] if first > 0 else together[first:]
    assert torch.allclose(lone, kept, atol=1e-5)


def test_mean_of_micro_batch_means_would_differ() -> None:
    """The trap that global normalisation avoids is real on this data: averaging averages gives another loss."""
    samples = lab_samples(8)
    model = tiny_model()
    total, means = 0.0, []
    for micro in micro_batches(samples, tokens=230, packing=False):
        losses = Scorer(model)(micro, objective("nll")).value_N
        total += float(losses.detach().sum())
        means.append(float(losses.detach().mean()))
    exact = total / sum(sample.trained for sample in samples)
    assert abs(sum(means) / len(means) - exact) > 1e-4 * exact


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """The gradients of the first update agree to 1e-5 between one process and two gloo processes, and so do losses; the
    weights after three updates to a thousandth of their change, as Adam divides small gradients by their own size."""
    for world in (1, 2):
        launched(world, "train_worker.py", tmp_path)
    one, two = (torch.load(tmp_path / f"weights-{world}.pt", weights_only=True) for world in (1, 2))
    for name, gradient in one["gradients"].items():
        assert (two["gradients"][name] - gradient).norm() <= 1e-5 * gradient.norm(), name
    for name, weight in one["weights"].items():
        change = (weight - one["before"][name]).norm()
        assert (two["weights"][name] - weight).norm() <= 1e-3 * change, name
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)


@pytest.mark.parametrize("world", [1, 2])
def test_killed_in_the_middle_of_an_epoch_it_ends_the_same_to_the_last_digit(world: int, tmp_path: Path) -> None:
    """With packing, shuffling, and two processes."""
    launched(world, "resume_worker.py", tmp_path / "whole", "short", 0)
    launched(world, "resume_worker.py", tmp_path / "cut", "short", 6, dies=True)
    assert (tmp_path / "cut" / "state").exists() and not (tmp_path / "cut" / "checkpoints").exists()
    launched(world, "resume_worker.py", tmp_path / "cut", "short", 0)
    for name in ("log.jsonl", "probe.jsonl"):
        whole, cut = (without_speed(read_log(tmp_path / run / name)) for run in ("whole", "cut"))
        assert whole == cut and whole, name
    whole, cut = (load_file(tmp_path / run / "checkpoints/step-000009/model.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(weight, cut[name]) for name, weight in whole.items())


def test_two_processes_killed_while_they_cool_down_end_at_the_same_place(tmp_path: Path) -> None:
    launched(2, "resume_worker.py", tmp_path / "whole", "ended", 0)
    stop = (tmp_path / "whole" / "endpoint.json").read_text()
    fired, end = json.loads(stop)["fired"], json.loads(stop)["end"]
    assert fired + 1 < end < 150
    launched(2, "resume_worker.py", tmp_path / "cut", "ended", fired + 1, dies=True)
    launched(2, "resume_worker.py", tmp_path / "cut", "ended", 0)
    assert (tmp_path / "cut" / "endpoint.json").read_text() == stop
    whole, cut = (without_speed(read_log(tmp_path / run / "log.jsonl")) for run in ("whole", "cut"))
    assert whole == cut and len(whole) == end


def without_speed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]


@pytest.mark.parametrize("spec", ["p", "0.5*eaft+0.5*nll"])
def test_sharded_over_two_processes_the_gradients_are_the_same(spec: str, tmp_path: Path) -> None:
    """FSDP2: the head's weight is whole only inside of the scorer's forward pass."""
    launched(2, "fsdp_worker.py", tmp_path, spec)
    found = torch.load(tmp_path / "gradients.pt", weights_only=True)
    _, grads = gradients(tiny_model(), lab_samples(8), objective(spec), tokens=10_000, packing=False)
    assert found.keys() == grads.keys()
    for name, gradient in grads.items():
        assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def launched(world: int, script: str, *args: object, dies: bool = False) -> None:
    """Run a script of this folder on as many gloo processes, to its end or until it dies."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(world), "--master_port", "0"]
    place = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", str(Path(__file__).with_name(script))]
    command = [*launch, *place, *map(str, args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode != 0) == dies, done.stderr[-9000:]
