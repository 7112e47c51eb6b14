"""pass@k of one model less that of another, paired over problems.

change = change_in_pass(before, after, k=8)
change.low, change.mid, change.high
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from titer.errors import InputError
from titer.evaluate.metrics import RESAMPLES, pass_at_k
from titer.records.results import Interval
from titer.records.schema import Rollout


def change_in_pass(one: Iterable[Rollout], other: Iterable[Rollout], *, k: int, seed: int = 0) -> Interval:
    """pass@k of `other` minus that of `one` over the problems of which both have `k` graded rollouts, with a 95 %
    percentile bootstrap over problems, which holds zero where fewer than six problems differ.

    Raises InputError where there is no such problem.
    """
    before, after = _by_problem(one, k), _by_problem(other, k)
    shared = sorted(before.keys() & after.keys())
    if not shared:
        raise InputError(f"no problem has {k} graded rollouts of both", remedy="compare at a smaller k")
    change_P = np.array([after[name] - before[name] for name in shared])
    rng = np.random.default_rng(seed)
    draws = [change_P[rng.integers(0, len(shared), len(shared))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(float(low), float(change_P.mean()), float(high)).with_differing(int(np.count_nonzero(change_P)))


def _by_problem(rollouts: Iterable[Rollout], k: int) -> dict[str, float]:
    counts: dict[str, list[int]] = {}
    for rollout in rollouts:
        if rollout.score is not None:
            count = counts.setdefault(rollout.problem_id, [0, 0])
            count[0] += 1
            count[1] += rollout.score == 1.0
    return {name: pass_at_k(graded, correct, k) for name, (graded, correct) in counts.items() if graded >= k}
