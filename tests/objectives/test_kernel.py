"""The Triton kernel of `fold_rows` against torch's own operations and against float64.

Where there is no GPU it runs in Triton's interpreter, in a process of its own: TRITON_INTERPRET decides about a whole
process, and no other test may come to know of it. Where there is a GPU it runs there too.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from titer.objectives import rows
from titer.objectives.rows import Fold, fold_rows

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed; it comes with torch where CUDA is"
)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
BOTH = frozenset({"collision_N", "top_entropy_N"})

# Folds the cases of one file into another by the kernel, whatever the device.
FOLD = """
import sys
import torch
from titer.objectives import kernel, rows

device, cases, out = sys.argv[1:]
rows._kernel_for, rows._fold_blocks = lambda z_nV: kernel.fold_on_gpu, None
found = {}
for name, (z_nV, targets_n, needs, softcap, kernel.BLOCK) in torch.load(cases, weights_only=False).items():
    z_nV = z_nV.to(device)
    fold = rows.fold_rows(z_nV, targets_n.to(device), needs, softcap)
    found[name] = [None if x is None else x.cpu() for x in (*fold, z_nV)]
torch.save(found, out)
"""

# Rows that are 2^29 logits apart: the last begins at logit 2^31. What is between them is never touched.
FAR = """
import sys
import torch
from titer.objectives import kernel, rows

device = sys.argv[1]
room = torch.empty((1 << 31) + 64, device=device).as_strided((5, 40), (1 << 29, 1))
torch.manual_seed(0)
z_nV, targets_n = torch.randn(5, 40, device=device), torch.arange(5, device=device)
room.copy_(z_nV)
found_n5 = kernel.fold_on_gpu(room, targets_n, collision=True, softcap=None)
wanted_5n, _ = rows._fold_blocks(z_nV, targets_n, frozenset({"collision_N"}), None)
torch.testing.assert_close(found_n5.t(), wanted_5n)
torch.testing.assert_close(room, z_nV)
"""

# Compiles for GPUs that need not be there: the interpreter has no types.
COMPILE = """
from itertools import product
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from titer.objectives import kernel

types = {"z_at": "*fp32", "targets_at": "*i64", "found_at": "*fp32", "row_stride": "i32", "width": "i32"}
for capability, collision, softcap in product((80, 90), (True, False), ("fp32", "constexpr")):
    constants = {"target_stride": 1, "COLLISION": collision, "SIZE": kernel.BLOCK}
    if softcap == "constexpr":
        constants["softcap"] = None
    kinds = {**types, "softcap": softcap}
    signature = {name: kinds.get(name, "constexpr") for name in kernel._fold_row.arg_names}
    target = GPUTarget("cuda", capability, 32)
    triton.compile(ASTSource(kernel._fold_row, signature, constants), target, {"num_warps": kernel.WARPS})
"""


class Case(NamedTuple):
    z_nV: Tensor
    targets_n: Tensor
    needs: frozenset[str] = BOTH
    softcap: float | None = None
    block: int = 16


def drawn(count: int, width: int, needs: frozenset[str] = BOTH, softcap: float | None = None, block: int = 16) -> Case:
    generator = torch.Generator().manual_seed(width)
    z_nV = torch.randn(count, width, generator=generator) * 5
    if softcap is not None:
        z_nV = softcap * torch.tanh(z_nV / softcap)
    return Case(z_nV, torch.randint(width, (count,), generator=generator), needs, softcap, block)


def one_row(values: list[float], target: int, softcap: float | None = None) -> Case:
    return Case(torch.tensor([values]), torch.tensor([target]), BOTH, softcap)


EDGES = torch.tensor([0, 15, 16, 31, 32, 47, 48, 49])
CASES = {
    "no rows": drawn(0, 40),
    "one column": drawn(3, 1),
    "two columns": drawn(5, 2, softcap=3.0),
    "a column less than a block": drawn(5, 15),
    "a block": drawn(5, 16),
    "a column more than a block": drawn(5, 17, softcap=30.0),
    "some blocks": drawn(4, 101),
    "nothing needed": drawn(4, 33, frozenset()),
    "nothing needed, softcap": drawn(4, 33, frozenset(), 5.0),
    "collision": drawn(4, 50, frozenset({"collision_N"})),
    "top": drawn(4, 50, frozenset({"top_entropy_N"}), 5.0),
    "many blocks": drawn(2, 1000),
    "blocks as they are on a GPU": drawn(3, 5000, softcap=10.0, block=4096),
    "targets at edges": drawn(8, 50)._replace(targets_n=EDGES),
    "targets at edges, softcap": drawn(8, 50, softcap=5.0)._replace(targets_n=EDGES),
    "greatest at edges": Case(torch.eye(50)[EDGES] * 9, EDGES.flip(0)),
    "greater by block": one_row([float(column) for column in range(70)], 3),
    "smaller by block": one_row([float(-column) for column in range(70)], 69),
    "±300": Case(torch.randint(-1, 2, (6, 40), generator=torch.Generator().manual_seed(0)) * 300.0, torch.arange(6)),
    "far below the rest": one_row([300.0] * 20 + [-300.0] * 20, 39),
    "far above the rest": one_row([-300.0] * 39 + [300.0], 39),
    "the rest is 1e-9": one_row([0.0] * 20 + [20.0] + [-1.0] * 20, 20),
    "the rest is 1e-30": one_row([0.0] * 20 + [70.0] + [-1.0] * 20, 20),
    "the cap is all but reached": one_row([29.999996, 29.9999, -29.999996, 30.0, 0.0], 1, 30.0),
    "ties": Case(torch.zeros(3, 40), torch.tensor([0, 20, 39])),
    "rows apart": drawn(5, 60)._replace(z_nV=torch.arange(500.0).cos().reshape(5, 100)[:, 20:80]),
    "targets apart": drawn(4, 40)._replace(targets_n=torch.arange(8)[::2]),
}


def run(code: str, *arguments: str, **environment: str) -> None:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def interpreted(device: str) -> dict[str, str]:
    return {"TRITON_INTERPRET": "1" if device == "cpu" else "0"}


def by_kernel(cases: dict[str, Case], device: str, folder: Path) -> dict[str, tuple[Fold, Tensor]]:
    """The folds and what the logits become."""
    torch.save({name: tuple(case) for name, case in cases.items()}, folder / "cases.pt")
    run(FOLD, device, str(folder / "cases.pt"), str(folder / "found.pt"), **interpreted(device))
    return {name: (Fold(*fold), z) for name, (*fold, z) in torch.load(folder / "found.pt").items()}


@pytest.fixture(scope="module", params=DEVICES)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Fold, Tensor]]:
    return by_kernel(CASES, request.param, tmp_path_factory.mktemp("kernel"))


def exact(case: Case) -> tuple[Fold, Tensor]:
    """The fold and what the logits become, in float64."""
    z, at = case.z_nV.double(), case.targets_n[:, None]
    e = (z - z.amax(1, keepdim=True)).exp()
    sum_n = e.sum(1)
    others_n = e.scatter(1, at, 0.0).sum(1)
    log_p = z.log_softmax(1)
    odds_n = others_n / e.gather(1, at).squeeze(1).clamp_min(1e-300)
    grad = e.scatter(1, at, -others_n[:, None])
    fold = Fold(
        -odds_n.log1p(),
        -(log_p.exp() * log_p).sum(1),
        z.gather(1, at).squeeze(1) >= z.amax(1),
        sum_n,
        log_p.exp().square().sum(1) if "collision_N" in case.needs else None,
        rows.top_entropy(z) if "top_entropy_N" in case.needs else None,
    )
    return fold, grad if case.softcap is None else grad * (1 - (z / case.softcap).square())


def near(found: Tensor | None, wanted: Tensor | None, rtol: float, atol: float) -> None:
    assert (found is None) == (wanted is None)
    if found is not None and wanted is not None:
        torch.testing.assert_close(found.double(), wanted.double(), rtol=rtol, atol=atol)


@needs_triton
@pytest.mark.parametrize("name", CASES)
def test_all_digits_are_those_of_float64(found: dict[str, tuple[Fold, Tensor]], name: str) -> None:
    (fold, grad_nV), (wanted, wanted_nV) = found[name], exact(CASES[name])
    near(fold.logp_n, wanted.logp_n, 1e-5, 1e-37)  # relative: 1 − p near p = 1
    near(grad_nV, wanted_nV, 2e-5, 1e-37)
    near(fold.sum_n, wanted.sum_n, 1e-5, 0)
    near(fold.entropy_n, wanted.entropy_n, 1e-5, 1e-6)
    near(fold.collision_n, wanted.collision_n, 1e-5, 0)
    near(fold.top_entropy_n, wanted.top_entropy_n, 1e-5, 1e-6)
    assert fold.hit_n.tolist() == wanted.hit_n.tolist() and (fold.entropy_n >= 0).all()


@needs_triton
@pytest.mark.parametrize("name", CASES)
def test_it_is_what_torch_finds(found: dict[str, tuple[Fold, Tensor]], name: str) -> None:
    case, (fold, grad_nV) = CASES[name], found[name]
    z_nV = case.z_nV.clone()
    wanted = fold_rows(z_nV, case.targets_n, case.needs, case.softcap)
    for mine, theirs in zip(fold, wanted, strict=True):
        near(mine, theirs, 1e-5, 1e-6)
    near(grad_nV, z_nV, 2e-5, 1e-6)


@needs_triton
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_what_is_not_a_number_or_no_token_reaches_the_loss(device: str, softcap: float | None, tmp_path: Path) -> None:
    clean = drawn(1, 40, softcap=softcap)
    cases = {}
    for place, bad in ((0, math.nan), (20, math.nan), (39, math.nan), (5, math.inf), (20, math.inf)):
        z_nV = clean.z_nV.clone()
        z_nV[0, place] = bad
        cases[f"{place} {bad}"] = clean._replace(z_nV=z_nV, targets_n=torch.tensor([20]))
    cases |= {str(target): clean._replace(targets_n=torch.tensor([target])) for target in (-100, -1, 40, 1 << 33)}
    for name, (fold, _) in by_kernel(cases, device, tmp_path).items():
        assert fold.logp_n.isnan().all() and fold.sum_n.isnan().all() and not fold.hit_n.any(), name


@needs_triton
@pytest.mark.parametrize("device", DEVICES)
def test_what_cannot_be_is_left_out(device: str, tmp_path: Path) -> None:
    """Logits of −∞, a whole block of them first."""
    case = Case(
        torch.cat([torch.full((1, 20), -math.inf), torch.arange(20.0)[None]], 1), torch.tensor([30]), frozenset()
    )
    fold, grad_nV = by_kernel({"": case}, device, tmp_path)[""]
    wanted, wanted_nV = exact(case)
    near(fold.logp_n, wanted.logp_n, 1e-5, 0)
    near(grad_nV, wanted_nV, 2e-5, 0)


@needs_triton
@pytest.mark.parametrize("device", DEVICES)
def test_rows_begin_beyond_32_bits(device: str) -> None:
    run(FAR, device, **interpreted(device))


@needs_triton
def test_it_compiles_for_gpus_that_are_not_here(tmp_path: Path) -> None:
    run(COMPILE, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))


def test_without_triton_torch_folds(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delitem(sys.modules, "titer.objectives.kernel", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)  # type: ignore[arg-type]  # as if it were not installed
    assert rows._kernel.__wrapped__(torch.device("cpu")) is None and not caplog.records


def test_where_triton_fails_torch_folds_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object, **__: object) -> Tensor:
        raise RuntimeError("no C compiler")

    monkeypatch.setitem(sys.modules, "titer.objectives.kernel", SimpleNamespace(fold_on_gpu=fails))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "titer"):
        assert rows._kernel.__wrapped__(torch.device("cpu")) is None
    assert "no C compiler" in caplog.text
