"""What a head must know of each row of logits, found in as few passes over them as can be.

    fold = fold_rows(logits_nV, targets_n, needs=frozenset(), softcap=None)
    logits_nV / fold.sum_n[:, None]          # now softmax − onehot

On a CPU a few rows at a time are folded, so that all passes but the first find them in the cache. On a GPU a Triton
kernel does a row a program (`kernel`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from titer.objectives.family import TOP

logger = logging.getLogger("titer")

BLOCK_BYTES = 1 << 22  # of logits that stay in a core's cache
TOP_BLOCK = 128  # of logits whose maximum is taken first, where the likeliest tokens are sought


class Fold(NamedTuple):
    """Of n rows: log p of the target, entropy in nats, whether no logit is greater than the target's, the sum of
    exp(logit − greatest), and what an objective asked for."""

    logp_n: Tensor
    entropy_n: Tensor
    hit_n: Tensor
    sum_n: Tensor
    collision_n: Tensor | None
    top_entropy_n: Tensor | None


def fold_rows(z_nV: Tensor, targets_n: Tensor, needs: frozenset[str], softcap: float | None) -> Fold:
    """Fold the logits, and overwrite them with the gradient of cross-entropy times `sum_n`.

    That is e = exp(z − max), at the target minus the sum of the others, and all of it times the softcap's slope where
    there is one. The sum of the others is taken apart, so that 1 − p keeps its digits where p is near 1.
    """
    fold_on_gpu = _kernel_for(z_nV)
    if fold_on_gpu is None:
        found_5n, top_n = _fold_blocks(z_nV, targets_n, needs, softcap)
    else:
        top_n = top_entropy(z_nV) if "top_entropy_N" in needs else None
        found_5n = fold_on_gpu(z_nV, targets_n, collision="collision_N" in needs, softcap=softcap).t()
    target_n, at_target_n, others_n, product_n, square_n = found_5n.unbind()
    sum_n = others_n + at_target_n
    # the second is exact near p = 1, and the first where exp(z − max) is nothing
    logp_n = torch.where(at_target_n < 0.5, target_n - sum_n.log(), -torch.log1p(others_n / at_target_n))
    return Fold(
        logp_n,
        (sum_n.log() - (product_n + at_target_n * target_n) / sum_n).clamp_min_(0),
        target_n >= 0,
        sum_n,
        (square_n + at_target_n.square()) / sum_n.square() if "collision_N" in needs else None,
        top_n,
    )


def _fold_blocks(
    z_nV: Tensor, targets_n: Tensor, needs: frozenset[str], softcap: float | None
) -> tuple[Tensor, Tensor | None]:
    """`fold_rows` by torch's own operations: what `kernel.fold_on_gpu` finds, (5, n), and the entropies of the top."""
    count, device = len(targets_n), z_nV.device
    found_6n = torch.empty(6, count, device=device)
    greatest_n, target_n, at_target_n, others_n, product_n, square_n = found_6n.unbind()
    top_n = torch.empty(count, device=device) if "top_entropy_N" in needs else None
    rows = max(1, BLOCK_BYTES // (4 * z_nV.shape[1])) if device.type == "cpu" else max(1, count)
    e_rV = torch.empty(min(rows, count), z_nV.shape[1], device=device)
    for first in range(0, count, rows):
        part = slice(first, min(first + rows, count))
        z, e, target = z_nV[part], e_rV[: min(first + rows, count) - first], targets_n[part, None]
        if top_n is None:
            torch.amax(z, 1, out=greatest_n[part])
        else:
            top_rK = _top(z, TOP)
            top_n[part], greatest_n[part] = _entropy_of_top(top_rK), top_rK[:, 0]
        slope = 1 - (z / softcap).square() if softcap is not None else None
        z.sub_(greatest_n[part, None])
        torch.exp(z, out=e)
        target_n[part], at_target_n[part] = z.gather(1, target).squeeze(1), e.gather(1, target).squeeze(1)
        e.scatter_(1, target, 0.0)
        torch.sum(e, 1, out=others_n[part])
        # in place and then summed: a row times a row as a matrix product takes ten times as long
        torch.sum(z.mul_(e), 1, out=product_n[part])
        if "collision_N" in needs:
            square_n[part] = torch.linalg.vector_norm(e, dim=1).square_()
        e.scatter_(1, target, -others_n[part, None])
        z.copy_(e if slope is None else e.mul_(slope))
    return found_6n[1:], top_n


def _kernel_for(z_nV: Tensor) -> Callable[..., Tensor] | None:
    return _kernel(z_nV.device) if z_nV.is_cuda and z_nV.stride(1) == 1 else None


@cache
def _kernel(device: torch.device) -> Callable[..., Tensor] | None:
    """`kernel.fold_on_gpu` where Triton is there and works: it wants a C compiler, and no GPU older than it knows."""
    try:
        from titer.objectives.kernel import fold_on_gpu

        one_n = torch.zeros(1, dtype=torch.long, device=device)
        fold_on_gpu(torch.zeros(1, 16, device=device), one_n, collision=False, softcap=None)
    except ImportError:
        return None
    except Exception as error:  # of a compiler, a linker, a driver: torch's own operations need none of them
        logger.warning("Triton does not work here, so the head takes more GPU time and memory: %s", error)
        return None
    return fold_on_gpu


def top_entropy(z_nV: Tensor) -> Tensor:
    """Entropy of the renormalised TOP likeliest tokens over ln TOP, (n,)."""
    return _entropy_of_top(_top(z_nV, TOP))


def _entropy_of_top(top_nK: Tensor) -> Tensor:
    """`top_entropy` of the likeliest tokens' logits, greatest first."""
    rest_nK = top_nK[:, 1:] - top_nK[:, :1]  # the first is 0, so that its e needs no digits of the sum
    e_nK = rest_nK.exp()
    others_n = e_nK.sum(1)
    return (torch.log1p(others_n) - (rest_nK * e_nK).sum(1) / (1 + others_n)) / math.log(TOP)


def _top(z_nV: Tensor, k: int) -> Tensor:
    """The k greatest of each row, greatest first, (n, min(k, V)).

    They lie in the k blocks of greatest maxima, and a row's maxima are found many times as fast as its k greatest.
    """
    blocks = z_nV.shape[1] // TOP_BLOCK
    if blocks <= k:
        return z_nV.topk(min(k, z_nV.shape[1]), dim=1).values
    z_nbc = z_nV[:, : blocks * TOP_BLOCK].view(len(z_nV), blocks, TOP_BLOCK)
    best_nk = z_nbc.amax(2).topk(k, dim=1).indices
    inside_nc = z_nbc.gather(1, best_nk[:, :, None].expand(-1, -1, TOP_BLOCK)).flatten(1)
    return torch.cat([inside_nc, z_nV[:, blocks * TOP_BLOCK :]], 1).topk(k, dim=1).values
