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
from training import TOKENIZER, gradients, lab_samples, tiny_model
from worlds import RUNS, TOGETHER

from titer.errors import InputError
from titer.objectives import objective
from titer.train import train
from titer.train.disk.state import read_log
from titer.train.scorer import Scorer
from titer.train.tokens.batches import micro_batches

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


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trainings of worlds.py, a folder each."""
    folder = tmp_path_factory.mktemp("worlds")
    script = Path(__file__).with_name("worlds.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-9000:]
    return folder


@pytest.mark.parametrize("name", list(TOGETHER))
def test_several_processes_train_as_one(name: str, worlds: Path) -> None:
    """DDP and FSDP2 over two and four processes, and killed twice and gone on with by another number of them: losses,
    gradient norms and weights agree with one process to 1e-5."""
    one, several = (read_log(worlds / folder / "log.jsonl") for folder in ("one", name))
    assert [row["step"] for row in several] == list(range(1, 10))
    for column in ("loss", "nll", "grad_norm", "entropy"):
        assert [row[column] for row in several] == pytest.approx([row[column] for row in one], rel=1e-5), column
    probes = [[row["nll"] for row in read_log(worlds / folder / "probe.jsonl")] for folder in ("one", name)]
    assert probes[1] == pytest.approx(probes[0], rel=1e-5)
    weights = [load_file(worlds / folder / "checkpoints/step-000009/model.safetensors") for folder in ("one", name)]
    assert weights[0].keys() == weights[1].keys()
    for key, weight in weights[0].items():
        assert (weights[1][key] - weight).norm() <= 1e-5 * weight.norm(), key


def test_sharded_in_bfloat16_trains_as_one_but_for_rounding(worlds: Path) -> None:
    """FSDP2 computes with all weights in bfloat16, autocast with those of the matrix products alone."""
    one, two = ([row["loss"] for row in read_log(worlds / f"half-{n}" / "log.jsonl")] for n in (1, 2))
    assert two == pytest.approx(one, rel=5e-3) and two != one
    weights = load_file(worlds / "half-2" / "checkpoints/step-000009/model.safetensors")
    assert all(weight.dtype == torch.float32 for weight in weights.values())


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_in_the_middle_of_an_epoch_it_ends_the_same_to_the_last_digit(processes: int, worlds: Path) -> None:
    """With packing, shuffling, and two processes."""
    whole, cut = worlds / f"short-{processes}", worlds / f"short-{processes}-cut"
    for name in ("log.jsonl", "probe.jsonl"):
        rows = without_speed(read_log(whole / name))
        assert rows == without_speed(read_log(cut / name)) and rows, name
    weights, same = (load_file(folder / "checkpoints/step-000009/model.safetensors") for folder in (whole, cut))
    assert all(torch.equal(weight, same[name]) for name, weight in weights.items())


def test_two_processes_killed_while_they_cool_down_end_at_the_same_place(worlds: Path) -> None:
    whole, cut = worlds / "ended-2", worlds / "ended-2-cut"
    stop = json.loads((whole / "endpoint.json").read_text())
    assert stop["fired"] + 1 < stop["end"] < 150
    assert json.loads((cut / "endpoint.json").read_text()) == stop
    rows = without_speed(read_log(whole / "log.jsonl"))
    assert rows == without_speed(read_log(cut / "log.jsonl")) and len(rows) == stop["end"]


def test_a_state_that_cannot_be_read_is_refused(worlds: Path) -> None:
    for shard in (worlds / "short-torn" / "state").glob("*.distcp"):
        shard.write_bytes(b"")
    settings, samples = RUNS["short"]
    with pytest.raises(InputError, match="the state cannot be read"):
        train(tiny_model(), TOKENIZER, lab_samples(samples), settings, out=worlds / "short-torn", progress=False)


def without_speed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]


SHARDED = ("p", "0.5*eaft+0.5*nll")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, torch.Tensor]]:
    """Of each objective the gradients that two processes come to."""
    file = tmp_path_factory.mktemp("sharded") / "gradients.pt"
    launched(2, "fsdp_worker.py", file, *SHARDED)
    return dict(torch.load(file, weights_only=True))


@pytest.mark.parametrize("spec", SHARDED)
def test_sharded_over_two_processes_the_gradients_are_the_same(
    spec: str, sharded: dict[str, dict[str, torch.Tensor]]
) -> None:
    """FSDP2: the head's weight is whole only inside of the scorer's forward pass."""
    found = sharded[spec]
    _, grads = gradients(tiny_model(), lab_samples(8), objective(spec), tokens=10_000, packing=False)
    assert found.keys() == grads.keys()
    for name, gradient in grads.items():
        assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def launched(world: int, script: str, *args: object) -> None:
    """Run a script of this folder on as many gloo processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(world), "--master_port", "0"]
    place = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", str(Path(__file__).with_name(script))]
    command = [*launch, *place, *map(str, args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-9000:]
