"""How likely a base model already finds the tokens of the traces it is to learn from: its capability, token by token.

    found = priors(sums)           # sums: TokenSums of each trace
    found["all"].mean_p.mid, found["teacher R1"].mean_p.low

The paper that names objectives by capability measures it so: the token-weighted mean p of the base model on the SFT set
(arXiv 2510.00526, section 4). Intervals are 95 % percentile bootstraps over traces, whose tokens belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from titer.records.results import Interval

LIKELY = 0.55  # p from which a token counts as one that the model knows
RESAMPLES = 2000


class TokenSums(NamedTuple):
    """Sums over the trained tokens of one trace: p, how many have p > LIKELY, entropy in nats, −log p."""

    trace_id: str
    domain: str
    teacher: str
    tokens: int
    p: float
    likely: int
    entropy: float
    nll: float


class Prior(NamedTuple):
    """Token-weighted means over traces: p, the share of tokens with p > LIKELY, entropy and −log p in nats."""

    traces: int
    tokens: int
    mean_p: Interval
    likely: Interval
    entropy: Interval
    nll: Interval


def priors(sums: Sequence[TokenSums], *, seed: int = 0) -> dict[str, Prior]:
    """The prior over all traces ("all"), and by domain and by teacher where there are several."""
    found = {"all": prior(sums, seed=seed)}
    for field in ("domain", "teacher"):
        names = sorted({getattr(one, field) for one in sums})
        for name in names if len(names) > 1 else ():
            part = [one for one in sums if getattr(one, field) == name]
            found[f"{field} {name or 'unnamed'}"] = prior(part, seed=seed)
    return found


def prior(sums: Sequence[TokenSums], *, seed: int = 0) -> Prior:
    """The prior over some traces, of which there is at least one. nan ends of intervals for a single trace."""
    table = np.array([[one.tokens, one.p, one.likely, one.entropy, one.nll] for one in sums], dtype=float)
    rng = np.random.default_rng(seed)
    draws = np.array([table[rng.integers(0, len(table), len(table))].sum(axis=0) for _ in range(RESAMPLES)])
    shares = draws[:, 1:] / draws[:, :1]
    low, high = np.quantile(shares, [0.025, 0.975], axis=0) if len(table) > 1 else np.full((2, 4), np.nan)
    total = table.sum(axis=0)
    mids = total[1:] / total[0]
    intervals = [Interval(float(a), float(m), float(b)) for a, m, b in zip(low, mids, high, strict=True)]
    return Prior(len(table), int(total[0]), *intervals)
