"""KL from the base model to the trained one, for objectives that stay close to it (ASFT, arXiv 2509.23753).

It needs both models' distributions at once, so it takes a pass of its own: two products to get the logits again, two
for the gradient, a chunk of tokens at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from titer.objectives.products import Head, add_outer, back_project, project

CHUNK_BYTES = 1 << 26  # of logits that are held at a time, for each of the two models


class Base(NamedTuple):
    """The base model's hidden states of the same tokens, (N, D), and its head."""

    hidden_ND: Tensor
    head: Head


def divergence(hidden_ND: Tensor, head: Head, base: Base, weight_N: Tensor) -> tuple[Tensor, Tensor]:
    """Σ weight·KL(base ‖ model) with gradient, and its summands without, (N,)."""
    loss, value_N = _Divergence.apply(  # type: ignore[no-untyped-call]
        hidden_ND, head.weight_VD, head.bias_V, (head.scale, head.softcap, base, weight_N)
    )
    return loss, value_N


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, rest: tuple[Any, ...]
    ) -> tuple[Tensor, Tensor]:
        scale, softcap, base, weight_N = rest
        head = Head(weight_VD, bias_V, scale, softcap)
        chunk = max(1, CHUNK_BYTES // (4 * len(weight_VD)))
        value_N = torch.empty_like(weight_N)
        grads = [
            torch.zeros(like.shape, dtype=torch.float32, device=like.device) if want and like is not None else None
            for want, like in zip(ctx.needs_input_grad[:3], (hidden_ND, weight_VD, bias_V), strict=True)
        ]
        for first in range(0, len(weight_N), chunk):
            part = slice(first, first + chunk)
            scaled_nD = hidden_ND[part].float() * scale
            ours, theirs = _logits(scaled_nD, head), _logits(base.hidden_ND[part].float() * base.head.scale, base.head)
            log_p, log_base = ours.log_softmax(1), theirs.log_softmax(1)
            value_N[part] = weight_N[part] * (log_base.exp() * (log_base - log_p)).sum(1)
            # exp(log p) has as few digits as log p is large
            p_nV, q_nV = torch.softmax(ours, 1, out=log_p), torch.softmax(theirs, 1, out=log_base)
            grad_nV = _difference(p_nV, q_nV).mul_(weight_N[part, None])
            if softcap is not None:
                grad_nV *= 1 - (ours / softcap).square()
            if grads[0] is not None:
                grads[0][part] = back_project(grad_nV, weight_VD) * scale
            if grads[1] is not None:
                add_outer(grads[1], grad_nV, scaled_nD, weight_VD.dtype, fresh=False)
            if grads[2] is not None:
                grads[2] += grad_nV.sum(0) * scale
        ctx.save_for_backward(*grads)
        ctx.dtypes = [None if like is None else like.dtype for like in (hidden_ND, weight_VD, bias_V)]
        ctx.mark_non_differentiable(value_N)
        return value_N.sum(), value_N

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        scaled = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return (*(None if grad is None else (grad * grad_loss).to(dtype) for grad, dtype in scaled), None)


def _difference(p_nV: Tensor, q_nV: Tensor) -> Tensor:
    """p − q, in the place of p. Of p's likeliest token it is what the others lack: near 1, p − q has few digits."""
    top_n1 = p_nV.argmax(1, keepdim=True)
    difference_nV = p_nV.sub_(q_nV).scatter_(1, top_n1, 0.0)
    return difference_nV.scatter_(1, top_n1, -difference_nV.sum(1, keepdim=True))


def _logits(scaled_nD: Tensor, head: Head) -> Tensor:
    return project(scaled_nD, head, torch.empty(len(scaled_nD), len(head.weight_VD), device=scaled_nD.device))
