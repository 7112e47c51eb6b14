"""The one-pass head beside TRL's, Liger's and whole logits: time and peak memory of loss and gradients.

    python benchmarks/head.py             # the shapes of SmolLM2, Gemma-3-270M and Qwen2.5-0.5B, 512 to 8192 tokens
    python benchmarks/head.py --quick     # 256 tokens, in 45 seconds on two cores; the spread at SmolLM2's shape alone
    python benchmarks/head.py --json

Ours and TRL's return log p, entropy and top-1 of every token, whole logits log p and top-1, Liger's the loss alone; all
leave gradients at the hidden states and the weight. Of our objectives `iw` and `asft` are left out: they take a second
pass. The heads run in turn (A B C A B C …) in one process; a ratio is the median of the rounds.
Peak memory is what the process grows by in one call: the resident set on a CPU, the allocator's count on a GPU. Liger's
head runs on a GPU only, and knows no entropy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from titer.objectives import Head, objective, score_hidden

SHAPES = {"SmolLM2-135M": (576, 49_152), "Gemma-3-270M": (640, 262_144), "Qwen2.5-0.5B": (896, 151_936)}
TOKENS = (512, 2048, 8192)
OBJECTIVES = ("p", "power:10", "nll@p>=0.2", "focal:2", "log1mp", "infosft", "eaft", "deft", "0.7*p+0.3*nll")
SLOWEST = ("eaft", "deft")  # of them, where all were measured: what the larger shapes are asked
MOST_OF_MEMORY = 0.7  # that whole logits may take; beyond it they are left out
TRL_CHUNK = 8192  # columns of the vocabulary that TRL's trainers take at a time


class Problem(NamedTuple):
    """Leaves and targets of one shape."""

    hidden_ND: Tensor
    weight_VD: Tensor
    targets_N: Tensor


def ours(problem: Problem, spec: str = "nll") -> None:
    """titer's head."""
    score_hidden(problem.hidden_ND, problem.targets_N, Head(problem.weight_VD), objective(spec)).loss.backward()


def full(problem: Problem) -> None:
    """Whole logits."""
    logits_NV = (problem.hidden_ND @ problem.weight_VD.t()).float()
    logp_N = logits_NV.gather(1, problem.targets_N[:, None]).squeeze(1) - logits_NV.logsumexp(1)
    _ = logits_NV.detach().argmax(1) == problem.targets_N
    (-logp_N.sum()).backward()


def trl(problem: Problem) -> None:
    """TRL's head: recomputes the logits in its backward pass."""
    from trl.kernels.chunked_logprob import ChunkedLogProbFunction

    wanted = ("entropy", "is_top1")
    logp_N, *_ = ChunkedLogProbFunction.apply(
        problem.hidden_ND, problem.weight_VD, None, problem.targets_N, 1.0, TRL_CHUNK, None, 1.0, wanted
    )
    (-logp_N.sum()).backward()


def liger(problem: Problem) -> None:
    """Liger's head: cross-entropy with its mean taken inside."""
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    loss = LigerFusedLinearCrossEntropyLoss(reduction="sum")
    loss(problem.weight_VD, problem.hidden_ND, problem.targets_N).backward()


def make(width: int, vocabulary: int, tokens: int, device: str, dtype: torch.dtype) -> Problem:
    """Hidden states and a weight whose logits are about as large as a model's."""
    torch.manual_seed(0)
    hidden_ND = torch.randn(tokens, width, device=device, dtype=dtype).requires_grad_()
    weight_VD = (3 * torch.randn(vocabulary, width, device=device, dtype=dtype) / width**0.5).requires_grad_()
    return Problem(hidden_ND, weight_VD, torch.randint(vocabulary, (tokens,), device=device))


def measured(work: Callable[[Problem], None], problem: Problem) -> tuple[float, float]:
    """Seconds of one call, and the mebibytes by which it grows the process at its peak."""
    problem.hidden_ND.grad = problem.weight_VD.grad = None
    cuda = problem.hidden_ND.is_cuda
    before = _memory(cuda, reset=True)
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    work(problem)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began, _memory(cuda) - before


def _memory(cuda: bool, *, reset: bool = False) -> float:
    if cuda:
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return (torch.cuda.memory_allocated() if reset else torch.cuda.max_memory_allocated()) / 2**20
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the highest resident set
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _machine_memory(problem: Problem) -> int:
    if problem.hidden_ND.is_cuda:
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def compare(problem: Problem, rounds: int, *, warm: bool) -> dict[str, Any]:
    """Ratios of time and memory on one problem."""
    works: dict[str, Callable[[Problem], None]] = {"ours": ours}
    if 4 * 4 * len(problem.targets_N) * len(problem.weight_VD) < MOST_OF_MEMORY * _machine_memory(problem):
        works["full"] = full  # logits, their softmax and gradient, and what is between them
    if find_spec("trl"):
        works["trl"] = trl
    if problem.hidden_ND.is_cuda and find_spec("liger_kernel"):
        works["liger"] = liger
    if warm:
        for work in works.values():
            measured(work, problem)
    found = [{name: measured(work, problem) for name, work in works.items()} for _ in range(rounds)]
    row: dict[str, Any] = {}
    for name in ("trl", "full", "liger"):
        ratios = sorted(one["ours"][0] / one[name][0] for one in found if name in one)
        row[f"ours_over_{name}"] = round(statistics.median(ratios), 3) if ratios else None
        row[f"ours_over_{name}_range"] = [round(ratios[0], 3), round(ratios[-1], 3)] if ratios else None
        peaks = [one["ours"][1] / one[name][1] for one in found if name in one]
        row[f"peak_over_{name}"] = round(statistics.median(peaks), 3) if peaks else None
    return row


def spread(problem: Problem, rounds: int, specs: Sequence[str]) -> dict[str, float]:
    """The objectives' time over nll's, measured beside it, median of the rounds."""
    ratios: dict[str, list[float]] = {spec: [] for spec in specs}
    before = measured(ours, problem)[0]
    for _ in range(rounds):
        for spec in specs:
            other = measured(lambda one, spec=spec: ours(one, spec), problem)[0]  # type: ignore[misc]
            after = measured(ours, problem)[0]
            ratios[spec].append(2 * other / (before + after))
            before = after
    return {spec: round(statistics.median(found), 3) for spec, found in ratios.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    rows = []
    for name, (width, vocabulary) in SHAPES.items():
        for tokens in (256,) if args.quick else TOKENS:
            problem = make(width, vocabulary, tokens, device, dtype)
            rounds = 1 if args.quick else args.rounds
            row = {"device": device, "dtype": str(dtype).removeprefix("torch."), "hidden": width, "vocab": vocabulary}
            row |= {"tokens": tokens, "model": name} | compare(problem, rounds, warm=vocabulary < 100_000)
            every = vocabulary < 100_000 and tokens <= TOKENS[0]
            if every or not args.quick:
                found = spread(problem, 3 if args.quick else rounds, OBJECTIVES if every else SLOWEST), name
            row["objectives_over_nll"], row["slowest_measured_at"] = found
            row["slowest_over_nll"] = max(found[0].values())
            rows.append(row)
            if not args.json:
                print(row, flush=True)
    if args.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
