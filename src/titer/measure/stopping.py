"""How many rollouts a problem gets: few, and more only while they are worth their price.

more = still_in_doubt(rollouts, Rule())          # {"p1": 2}: sample p1 twice more

Ours. A rollout has a price, in units of the probability that the problem's band is told right. Whether the next ones
are worth theirs is known exactly, by working backwards from the last rollout that is allowed (optimal stopping,
dynamic programming over how many of how many were right): where a problem's rate is far from both edges little is left
to be learned, where it lies on one, nothing is. With more rollouts at most than a fixed number would have been, the
same bands are told from about half as many (`benchmarks/bands.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from titer.measure.bands import EDGES, Edges, Spread, band_chances, count_of, fit_spread
from titer.records import Rollout


class Rule(NamedTuple):
    """First so many rollouts of each problem, then `step` at a time, while they are worth `price` each, up to `most`.

    A price of zero draws `most` of every problem.
    """

    first: int = 4
    step: int = 1
    most: int = 32
    price: float = 0.0115
    edges: Edges = EDGES


def still_in_doubt(rollouts: Mapping[str, Sequence[Rollout]], rule: Rule) -> dict[str, int]:
    """How many more rollouts each problem gets now, by the rollouts it has; those that get none are left out."""
    counts = {name: count_of(some) for name, some in rollouts.items()}
    fresh = {name: min(rule.first, rule.most) for name, count in counts.items() if not count.drawn}
    if fresh:
        return fresh
    worth = worth_going_on(fit_spread(counts.values()), rule)
    return {
        name: min(rule.step, rule.most - count.drawn)
        for name, count in counts.items()
        if count.drawn < rule.most and worth[count.graded, count.correct]
    }


def worth_going_on(spread: Spread, rule: Rule) -> NDArray[np.bool_]:
    """Whether to go on, at [graded, correct], both up to `most`; what lies above the diagonal says nothing."""
    worth = np.zeros((rule.most + 1, rule.most + 1), dtype=np.bool_)
    graded, correct = np.indices(worth.shape)
    value = band_chances(np.minimum(correct, graded), graded, rule.edges, spread).max(axis=-1)  # of stopping there
    for n in reversed(range(rule.most)):
        step = min(rule.step, rule.most - n)
        c, k = np.arange(n + 1)[:, None], np.arange(step + 1)[None, :]
        chance = betabinom.pmf(k, step, spread.a + c, spread.b + n - c)
        going_on = (chance * value[n + step, c + k]).sum(axis=-1) - rule.price * step
        worth[n, : n + 1] = (going_on > value[n, : n + 1]) | (rule.price == 0)
        value[n, : n + 1] = np.maximum(going_on, value[n, : n + 1])
    return worth
