"""Objectives: decreasing functions f of p, the probability that the model gives to the target token.

    power(10).weight(stats)              # w(p) = p^10, one a token
    of_function("mine", lambda p: -p.sqrt())

Every member's gradient is cross-entropy's times the weight w(p) = −f′(p)·p, that is ∂L/∂logits = w·(softmax − onehot)
(arXiv 2510.00526, section 3), so what differs between them is only how much a token counts. Members whose weight is
not a function of p alone (entropy, the base model, the whole trace) hold it constant in the gradient, as their papers
do; the value they report is weight · −log p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

TOP = 20  # tokens whose entropy EAFT takes (arXiv 2601.02151)
INFO_TURN = 0.93  # probability from which InfoSFT learns nothing more (arXiv 2605.14967)
MOST_CERTAIN = 0.99  # where log(1 − p) goes on as a straight line in log p: its weight is 99 there, and no more
_IMPORTANCE = (1.0, 16.0)  # exponent and cap of iw-SFT's sequence weights (arXiv 2507.12856, the authors' code)


class TokenStats(NamedTuple):
    """What is known of N target tokens before any gradient is formed, float32, (N,) each.

    `entropy_N` in nats; `collision_N` is Σ_v p_v², `top_entropy_N` the entropy of the renormalised TOP likeliest
    tokens in [0, 1], and `trace_N` a weight that the token's whole trace has: None where no objective asked for them.
    """

    logp_N: Tensor
    entropy_N: Tensor
    collision_N: Tensor | None = None
    top_entropy_N: Tensor | None = None
    trace_N: Tensor | None = None


Values = Callable[[TokenStats], Tensor]


class Objective(NamedTuple):
    """One objective: its f and its weight w = −f′(p)·p, each from the statistics of N tokens to (N,).

    `needs` names the fields of TokenStats beyond log p and entropy. `divergence` is the factor of KL(base ‖ model) in
    the loss.
    """

    name: str
    value: Values
    weight: Values
    needs: frozenset[str] = frozenset()
    divergence: float = 0.0


def nll() -> Objective:
    """f = −log p, w = 1: cross-entropy."""
    return Objective("nll", lambda s: -s.logp_N, lambda s: torch.ones_like(s.logp_N))


def p() -> Objective:
    """f = −p, w = p (arXiv 2510.00526, table 1); the gradient of DFT (arXiv 2508.05629)."""
    return Objective("p", lambda s: -s.logp_N.exp(), lambda s: s.logp_N.exp())


def power(alpha: float) -> Objective:
    """f = (1 − p^α)/α, w = p^α (arXiv 2510.00526, equation 5 up to a constant); α > 0, of which 0 is the limit nll."""
    return Objective(
        f"power:{alpha:g}", lambda s: -torch.expm1(alpha * s.logp_N) / alpha, lambda s: (alpha * s.logp_N).exp()
    )


def focal(gamma: float) -> Objective:
    """f = −(1 − p)^γ log p, w = (1 − p)^γ − γ p (1 − p)^(γ−1) log p (arXiv 1708.02002, equation 4); γ ≥ 0."""

    def value(s: TokenStats) -> Tensor:
        return -(_miss(s) ** gamma) * s.logp_N

    def weight(s: TokenStats) -> Tensor:
        miss = _miss(s)
        # log p / (p − 1), which tends to 1 as p does
        ratio = torch.where(miss > 0, s.logp_N / -miss.clamp_min(1e-30), 1.0)
        return miss**gamma * (1 + gamma * s.logp_N.exp() * ratio)

    return Objective(f"focal:{gamma:g}", value, weight)


def log1mp() -> Objective:
    """f = log(1 − p), w = p/(1 − p); beyond p = MOST_CERTAIN w stays as it is there, so that it has a bound."""
    most, edge = MOST_CERTAIN / (1 - MOST_CERTAIN), math.log(MOST_CERTAIN)

    def value(s: TokenStats) -> Tensor:
        inside = torch.log1p(-s.logp_N.clamp_max(edge).exp())
        return inside - most * (s.logp_N - edge).clamp_min(0)

    def weight(s: TokenStats) -> Tensor:
        certain = s.logp_N.clamp_max(edge).exp()
        return certain / (1 - certain)

    return Objective("log1mp", value, weight)


def infosft() -> Objective:
    """w = p·[1 − logit(p)/logit(.93)]₊ (arXiv 2605.14967), constant in the gradient."""
    turn = math.log(INFO_TURN / (1 - INFO_TURN))

    def weight(s: TokenStats) -> Tensor:
        logit = s.logp_N - _miss(s).clamp_min(1e-30).log()
        return s.logp_N.exp() * (1 - logit / turn).clamp_min(0)

    return weighted("infosft", weight)


def eaft() -> Objective:
    """w = entropy of the renormalised 20 likeliest tokens / ln 20 (arXiv 2601.02151), constant in the gradient."""
    return weighted("eaft", lambda s: _known(s.top_entropy_N), needs="top_entropy_N")


def deft() -> Objective:
    """w = p^α with α = Σ_v p_v² of the same token (arXiv 2602.11424), constant in the gradient."""

    def value(s: TokenStats) -> Tensor:
        alpha = _known(s.collision_N)
        return -torch.expm1(alpha * s.logp_N) / alpha

    return Objective("deft", value, lambda s: (_known(s.collision_N) * s.logp_N).exp(), frozenset({"collision_N"}))


def asft(strength: float) -> Objective:
    """−p and λ·KL(base ‖ model) (arXiv 2509.23753); λ of .05 to .1."""
    return p()._replace(name=f"asft:{strength:g}", divergence=strength)


def iw() -> Objective:
    """−log p weighted by the trace: exp(mean log p − mean log p of the base), at most 16 (arXiv 2507.12856)."""
    return weighted("iw", lambda s: _known(s.trace_N), needs="trace_N")


def weighted(name: str, weight: Values, needs: str = "") -> Objective:
    """−log p times a weight that is constant in the gradient."""
    return Objective(name, lambda s: -s.logp_N * weight(s), weight, frozenset({needs} if needs else ()))


def of_function(name: str, f: Callable[[Tensor], Tensor]) -> Objective:
    """Anybody's f of p, elementwise and differentiable; its weight is taken by autograd."""

    def weight(s: TokenStats) -> Tensor:
        with torch.enable_grad():
            # no smaller than a number can be: an f like √p has no slope at 0
            p_N = s.logp_N.detach().exp().clamp_min(torch.finfo(s.logp_N.dtype).tiny).requires_grad_()
            (slope,) = torch.autograd.grad(f(p_N).sum(), p_N)
        return -slope * p_N.detach()

    return Objective(name, lambda s: f(s.logp_N.exp()), weight)


def within(inner: Objective, low: float, high: float) -> Objective:
    """f·1[low ≤ p ≤ high], high > 0: only tokens of these probabilities count (arXiv 2510.00526, section 4)."""
    span = math.log(low) if low > 0 else -math.inf, math.log(high)

    def cut(values: Values) -> Values:
        return lambda s: torch.where((s.logp_N >= span[0]) & (s.logp_N <= span[1]), values(s), 0.0)

    edges = (f"@p>={low:g}" if low > 0 else "") + (f"@p<={high:g}" if high < 1 else "")
    return inner._replace(name=f"{inner.name}{edges}", value=cut(inner.value), weight=cut(inner.weight))


def mixture(parts: list[tuple[float, Objective]]) -> Objective:
    """Σ c·f of several objectives."""

    def total(pick: Callable[[Objective], Values]) -> Values:
        return lambda s: torch.stack([c * pick(part)(s) for c, part in parts]).sum(0)

    return Objective(
        "+".join(f"{c:g}*{part.name}" for c, part in parts),
        total(lambda part: part.value),
        total(lambda part: part.weight),
        frozenset[str]().union(*(part.needs for _, part in parts)),
        sum(c * part.divergence for c, part in parts),
    )


def _miss(s: TokenStats) -> Tensor:
    """1 − p, without loss of digits near p = 1."""
    return -torch.expm1(s.logp_N)


def _known(values: Tensor | None) -> Tensor:
    assert values is not None, "the head computes what an objective says it needs"
    return values


def importance(logp_N: Tensor, samples_N: Tensor, base_mean_S: Tensor) -> Tensor:
    """iw-SFT's weight of each token's trace: exp of its mean log p over the base's, at most 16 (arXiv 2507.12856)."""
    exponent, most = _IMPORTANCE
    count_S = torch.bincount(samples_N, minlength=len(base_mean_S))
    mean_S = torch.zeros_like(base_mean_S).index_add_(0, samples_N, logp_N.to(base_mean_S.dtype)) / count_S
    weight_S: Tensor = (exponent * (mean_S - base_mean_S)).exp().clamp_max(most)
    return weight_S[samples_N].float()
