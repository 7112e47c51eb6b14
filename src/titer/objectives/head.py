"""The one-pass head: loss and gradients of N tokens from their hidden states, without ever holding the N×V logits.

    scores = score_hidden(hidden_ND, targets_N, Head(weight_VD), objective("p"))
    (scores.loss / tokens).backward()

Every member of the family weighs cross-entropy's gradient with a w that is known as soon as a token's log-sum-exp is
(`family`). So the gradient w·(softmax − onehot) is formed while the token's logits are still there, in the forward
pass, a chunk of tokens at a time: three matrix products, where heads that recompute the logits in their backward
pass do four. The normaliser and w stand outside of the products, so that the logits are touched as few times as can be:

    e = exp(z − max), at the target −Σ of the others,  c = w/Σexp(z − max):    ∂h = c·(e W),    ∂W = eᵀ(c·h)

An objective whose weight needs the log p of a whole trace first takes `log_probs` before this pass: four products.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import hardshrink

from titer.objectives.divergence import Base, divergence
from titer.objectives.family import Objective, TokenStats
from titer.objectives.products import Head, add_outer, back_project, project
from titer.objectives.rows import Fold, fold_rows

FEWEST_BYTES, MOST_BYTES = 1 << 26, 1 << 28  # of logits that are held at a time
# by which it grows between these: a call with more tokens or a larger weight has more memory in use anyway
BYTES_PER_TOKEN, SHARE_OF_WEIGHT = 5 << 15, 0.25
FEWEST = 96  # tokens of a chunk, however large the vocabulary: fewer make slow products
# of a token's share of the gradient, below which it is none: products of denormal numbers (below 1e-38), which p^10
# soon comes to, take some processors tens of times as long, and beside any other token such a share is lost in rounding
LEAST_SHARE = 2.0**-100


class Scores(NamedTuple):
    """Of N tokens: the summed loss (with gradient), and without one f, log p, the entropy in nats, whether no token was
    likelier than the target, and the weight w."""

    loss: Tensor
    value_N: Tensor
    logp_N: Tensor
    entropy_N: Tensor
    hit_N: Tensor
    weight_N: Tensor


class _Call(NamedTuple):
    """What a call says besides the tensors that gradients flow to; `wanted` says of which of them."""

    scale: float
    softcap: float | None
    factor: float
    objective: Objective
    token_weight_N: Tensor | None
    trace_N: Tensor | None
    wanted: tuple[bool, bool, bool]


def score_hidden(
    hidden_ND: Tensor,
    targets_N: Tensor,
    head: Head,
    objective: Objective,
    *,
    factor: float = 1.0,
    token_weight_N: Tensor | None = None,
    trace_N: Tensor | None = None,
    base: Base | None = None,
) -> Scores:
    """Loss and gradients of N target tokens; the softmax and all sums are float32.

    `factor` multiplies the loss and its gradient, nothing else; to multiply the loss afterwards costs a pass over the
    weight's gradient. `token_weight_N` multiplies f and w: what a token counts whatever its p. `trace_N` and `base` are
    for the objectives that need them (`Objective.needs`, `Objective.divergence`).
    """
    wanted = tuple(
        torch.is_grad_enabled() and like is not None and like.requires_grad
        for like in (hidden_ND, head.weight_VD, head.bias_V)
    )
    call = _Call(head.scale, head.softcap, factor, objective, token_weight_N, trace_N, wanted)  # type: ignore[arg-type]
    found = _OnePass.apply(hidden_ND, head.weight_VD, head.bias_V, targets_N, call)  # type: ignore[no-untyped-call]
    scores = Scores(*found)
    if base is None or not objective.divergence:
        return scores
    factor_N = torch.full_like(scores.logp_N, objective.divergence)
    loss, value_N = divergence(hidden_ND, head, base, factor_N if token_weight_N is None else factor_N * token_weight_N)
    return scores._replace(loss=scores.loss + factor * loss, value_N=scores.value_N + value_N)


@torch.no_grad()
def log_probs(hidden_ND: Tensor, targets_N: Tensor, head: Head) -> Tensor:
    """log p of N targets, (N,): the first of the two passes of objectives that need a whole trace's."""
    found_N = torch.empty(len(targets_N), device=hidden_ND.device)
    weight_VD = _operand(head.weight_VD, hidden_ND)
    for part, logits_nV in _chunks(len(targets_N), weight_VD):
        z_nV = project(hidden_ND[part].float() * head.scale, head._replace(weight_VD=weight_VD), logits_nV)
        found_N[part] = z_nV.gather(1, targets_N[part, None]).squeeze(1) - z_nV.logsumexp(1)
    return found_N


def score_logits(
    logits_NV: Tensor,
    targets_N: Tensor,
    objective: Objective,
    *,
    factor: float = 1.0,
    token_weight_N: Tensor | None = None,
    trace_N: Tensor | None = None,
) -> Scores:
    """The same from whole logits, for models whose head cannot be taken apart. No KL to a base model here."""
    logits_NV = logits_NV.float()
    fold = fold_rows(logits_NV.detach().clone(), targets_N, objective.needs, None)
    stats = TokenStats(fold.logp_n, fold.entropy_n, fold.collision_n, fold.top_entropy_n, trace_N)
    value_N, weight_N = objective.value(stats), objective.weight(stats)
    if token_weight_N is not None:
        value_N, weight_N = value_N * token_weight_N, weight_N * token_weight_N
    logp_N = logits_NV.gather(1, targets_N[:, None]).squeeze(1) - logits_NV.logsumexp(1)
    surrogate = -(weight_N * logp_N).sum()  # has the gradient, but not the value
    loss = surrogate + (value_N.sum() - surrogate.detach())
    return Scores(factor * loss, value_N, fold.logp_n, fold.entropy_n, fold.hit_n, weight_N)


class _OnePass(torch.autograd.Function):
    """`score_hidden`: forms the gradients in the forward pass, scales them in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, call: _Call
    ) -> tuple[Tensor, ...]:
        operand_VD = _operand(weight_VD, hidden_ND)
        head = Head(operand_VD, bias_V, call.scale, call.softcap)
        # the first chunk fills the weight's, which may be large; no token at all fills nothing
        fresh = torch.empty if len(targets_N) else torch.zeros
        grads = _Gradients(
            *(
                make(like.shape, dtype=torch.float32, device=like.device) if want and like is not None else None
                for want, like, make in zip(
                    call.wanted, (hidden_ND, weight_VD, bias_V), (fresh, fresh, torch.zeros), strict=True
                )
            )
        )
        found_4N = torch.empty(4, len(targets_N), device=hidden_ND.device)
        hit_N = torch.empty(len(targets_N), dtype=torch.bool, device=hidden_ND.device)
        for part, logits_nV in _chunks(len(targets_N), operand_VD):
            scaled_nD = hidden_ND[part].float() * call.scale
            e_nV = project(scaled_nD, head, logits_nV)
            fold = fold_rows(e_nV, targets_N[part], call.objective.needs, call.softcap)
            value_n, weight_n = _weigh(fold, call, part)
            found_4N[:, part] = torch.stack([value_n, fold.logp_n, fold.entropy_n, weight_n])
            hit_N[part] = fold.hit_n
            share_n = hardshrink(call.factor * weight_n / fold.sum_n, LEAST_SHARE)
            _add_gradients(grads, part, head, scaled_nD, e_nV, share_n)
        ctx.save_for_backward(*grads)
        ctx.dtypes = [None if like is None else like.dtype for like in (hidden_ND, weight_VD, bias_V)]
        value_N, logp_N, entropy_N, weight_N = found_4N.unbind()
        ctx.mark_non_differentiable(value_N, logp_N, entropy_N, hit_N, weight_N)
        return call.factor * value_N.sum(), value_N, logp_N, entropy_N, hit_N, weight_N

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        grads = ctx.saved_tensors
        if grad_loss.is_cuda or grad_loss.item() != 1:  # to look would make a GPU wait
            for grad in grads:
                if grad is not None:
                    grad.mul_(grad_loss)  # in place: nothing else holds it
        found = zip(grads, ctx.dtypes, strict=True)
        return (*(None if grad is None else grad.to(dtype) for grad, dtype in found), None, None)


class _Gradients(NamedTuple):
    """∂loss by the hidden states (N, D), the weight (V, D) and the bias (V,), float32; None where not wanted."""

    hidden_ND: Tensor | None
    weight_VD: Tensor | None
    bias_V: Tensor | None


def _weigh(fold: Fold, call: _Call, part: slice) -> tuple[Tensor, Tensor]:
    """f and w of some tokens."""
    trace_n = None if call.trace_N is None else call.trace_N[part]
    stats = TokenStats(fold.logp_n, fold.entropy_n, fold.collision_n, fold.top_entropy_n, trace_n)
    value_n, weight_n = call.objective.value(stats), call.objective.weight(stats)
    if call.token_weight_N is None:
        return value_n, weight_n
    return value_n * call.token_weight_N[part], weight_n * call.token_weight_N[part]


def _add_gradients(
    grads: _Gradients, part: slice, head: Head, scaled_nD: Tensor, e_nV: Tensor, share_n: Tensor
) -> None:
    """What these tokens give to the gradients: the module's equation."""
    if grads.hidden_ND is not None:
        grads.hidden_ND[part] = back_project(e_nV, head.weight_VD).mul_(share_n[:, None] * head.scale)
    if grads.weight_VD is not None:
        first = part.start == 0
        add_outer(grads.weight_VD, e_nV, scaled_nD * share_n[:, None], head.weight_VD.dtype, fresh=first)
    if grads.bias_V is not None:
        grads.bias_V.addmv_(e_nV.t(), share_n * head.scale)


def _chunks(count: int, weight_VD: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Runs of tokens, each with room for its logits, which the next run uses again."""
    wanted = max(FEWEST_BYTES, BYTES_PER_TOKEN * count, int(SHARE_OF_WEIGHT * 4 * weight_VD.numel()))
    room_bytes = min(wanted, MOST_BYTES)
    most = max(FEWEST, room_bytes // (4 * len(weight_VD)))
    size = math.ceil(count / max(1, math.ceil(count / most)))  # all alike: a short last run is a slow one
    room = torch.empty(size, len(weight_VD), device=weight_VD.device)
    for first in range(0, count, max(size, 1)):
        part = slice(first, min(first + size, count))
        yield part, room[: part.stop - first]


def _operand(weight_VD: Tensor, hidden_ND: Tensor) -> Tensor:
    """The weight as the products take it: under autocast on a GPU in its type, else as it is."""
    device = hidden_ND.device.type
    if device == "cpu":
        return weight_VD
    return weight_VD.to(torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_ND.dtype)
