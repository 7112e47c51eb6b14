"""The matrix products of the head, with float32 sums whatever the operands are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

VOCABULARY_BLOCK = 8192  # rows of a half-precision weight that are widened at a time, on a CPU


class Head(NamedTuple):
    """What turns hidden states (…, D) into logits: y = scale·(h Wᵀ + b), and with a softcap c·tanh(y/c)."""

    weight_VD: Tensor
    bias_V: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None


def project(scaled_nD: Tensor, head: Head, out_nV: Tensor) -> Tensor:
    """The logits of float32 hidden states that are scaled already, in `out_nV`."""
    weight_VD = head.weight_VD
    if weight_VD.dtype == torch.float32:
        torch.mm(scaled_nD, weight_VD.t(), out=out_nV)
    elif weight_VD.is_cuda:
        torch.mm(scaled_nD.to(weight_VD.dtype), weight_VD.t(), out_dtype=torch.float32, out=out_nV)
    else:
        for rows in _blocks(weight_VD):
            torch.mm(scaled_nD, weight_VD[rows].float().t(), out=out_nV[:, rows])
    if head.bias_V is not None:
        out_nV += head.bias_V.float() * head.scale
    if head.softcap is not None:
        out_nV.div_(head.softcap).tanh_().mul_(head.softcap)
    return out_nV


def back_project(grad_nV: Tensor, weight_VD: Tensor) -> Tensor:
    """grad · W, float32 (n, D)."""
    if weight_VD.dtype == torch.float32:
        return grad_nV @ weight_VD
    if weight_VD.is_cuda:
        return torch.mm(grad_nV.to(weight_VD.dtype), weight_VD, out_dtype=torch.float32)
    out_nD = torch.zeros(len(grad_nV), weight_VD.shape[1])
    for rows in _blocks(weight_VD):
        out_nD.addmm_(grad_nV[:, rows], weight_VD[rows].float())
    return out_nD


def add_outer(sum_VD: Tensor, grad_nV: Tensor, scaled_nD: Tensor, dtype: torch.dtype, *, fresh: bool) -> None:
    """sum += gradᵀ · h, float32; on a GPU with operands of `dtype`. A `fresh` sum is overwritten, whatever it holds."""
    kept = 0 if fresh else 1
    if sum_VD.is_cuda and dtype != torch.float32:
        left_Vn, right_nD = grad_nV.t().to(dtype), scaled_nD.to(dtype)
        torch.addmm(sum_VD, left_Vn, right_nD, out_dtype=torch.float32, beta=kept, out=sum_VD)
    else:
        sum_VD.addmm_(grad_nV.t(), scaled_nD, beta=kept)


def _blocks(weight_VD: Tensor) -> list[slice]:
    return [slice(first, first + VOCABULARY_BLOCK) for first in range(0, len(weight_VD), VOCABULARY_BLOCK)]
