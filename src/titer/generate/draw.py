"""The next token of every row, from its logits and one uniform number.

    tokens_B = draw(logits_BV, uniforms_B, sampling)

B rows, V vocabulary, K ranked candidates. One number per token and the inverse of the cumulative distribution,
so a row's tokens depend on its own logits and stream alone.
"""

from __future__ import annotations

from torch import Tensor

from titer.generate.protocol import Sampling

_RANKED, _WIDER = 64, 16
"""Candidates that are ranked at first, and how many times more for the rows whose top-p set is larger."""


def draw(logits_BV: Tensor, uniforms_B: Tensor, sampling: Sampling) -> Tensor:
    """Temperature, then top-k, then top-p over what top-k left, as vLLM and transformers order them. (B,) int64.

    Top-p: the smallest set of most probable tokens whose mass reaches `top_p` (Holtzman et al., 1904.09751).
    """
    if sampling.temperature == 0:
        return logits_BV.argmax(-1)
    logits_BV = logits_BV.float()
    # The best token at 0: a temperature near 0 then cannot overflow.
    probs_BV = ((logits_BV - logits_BV.amax(-1, keepdim=True)) / sampling.temperature).softmax(-1)
    if sampling.top_k:
        top_k = min(sampling.top_k, probs_BV.shape[-1])
        probs_BK, ids_BK = probs_BV.topk(top_k)
        weights_BK = _top_p(probs_BK / probs_BK.sum(-1, keepdim=True), sampling.top_p)
        return _chosen(ids_BK, weights_BK, uniforms_B)
    if sampling.top_p == 1:
        return _invert(probs_BV, uniforms_B)
    return _nucleus_draw(probs_BV, uniforms_B, sampling.top_p, ranked=_RANKED)


def _nucleus_draw(probs_BV: Tensor, uniforms_B: Tensor, top_p: float, ranked: int) -> Tensor:
    """Rank as few candidates as reach `top_p`: sorting a whole vocabulary costs as much as a small model."""
    probs_BK, ids_BK = probs_BV.topk(min(ranked, probs_BV.shape[-1]))
    tokens_B = _chosen(ids_BK, _top_p(probs_BK, top_p), uniforms_B)
    wide_B = probs_BK.sum(-1) < top_p
    if ranked < probs_BV.shape[-1] and wide_B.any():
        tokens_B[wide_B] = _nucleus_draw(probs_BV[wide_B], uniforms_B[wide_B], top_p, ranked * _WIDER)
    return tokens_B


def _top_p(ranked_BK: Tensor, top_p: float) -> Tensor:
    """Zero every candidate whose betters reach `top_p` already. The best one stays."""
    before_BK = ranked_BK.cumsum(-1) - ranked_BK
    return ranked_BK.where(before_BK < top_p, 0.0)


def _chosen(ids_BK: Tensor, weights_BK: Tensor, uniforms_B: Tensor) -> Tensor:
    return ids_BK.gather(1, _invert(weights_BK, uniforms_B)[:, None])[:, 0]


def _invert(weights_BK: Tensor, uniforms_B: Tensor) -> Tensor:
    """The candidate in whose stretch of the cumulated weights the row's number falls. (B,) int64."""
    cumulated_BK = weights_BK.cumsum(-1)
    # A float32 below 1 times the total is rounded below the total, so the token found has a weight above 0.
    threshold_B1 = uniforms_B[:, None] * cumulated_BK[:, -1:]
    return (cumulated_BK <= threshold_B1).sum(-1)
