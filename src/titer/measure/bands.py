"""Solve rates and the bands that they fall into.

rates = solve_rates(rollouts)
rates["p1"].rho, rates["p1"].band, rates["p1"].surety

What is known of one problem is Beta(a + correct, b + wrong). How solve rates are spread over problems, Beta(a, b), is
fitted to all of them by maximum likelihood (empirical Bayes), so that 0 of 4 means more where most problems are hard.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import beta, betabinom

from titer.records import Rollout

Band = Literal["simple", "medium", "hard"]
BANDS: tuple[Band, ...] = ("simple", "medium", "hard")
FEWEST_FITTED = 20  # problems; the spread of fewer is taken to be even
LEAST, MOST = 0.05, 20.0  # that a and b may be: with no end, a pool of one band would leave no doubt at all


class Edges(NamedTuple):
    """Solve rates from which a problem is medium, and simple: hard [0, .25), medium [.25, .75), simple [.75, 1]
    (arXiv 2606.04466)."""

    medium: float = 0.25
    simple: float = 0.75


EDGES = Edges()


class Spread(NamedTuple):
    """How solve rates are spread over the problems: Beta(a, b). Beta(1, 1) knows nothing."""

    a: float = 1.0
    b: float = 1.0


class Count(NamedTuple):
    """Right and graded rollouts of one problem, and all that were drawn."""

    correct: int = 0
    graded: int = 0
    drawn: int = 0


class SolveRate(NamedTuple):
    """ρ = correct / graded of one problem, the 95 % interval of its posterior, its most probable band and how sure."""

    problem_id: str
    correct: int
    graded: int
    rho: float
    low: float
    high: float
    band: Band
    surety: float


def count_of(rollouts: Iterable[Rollout]) -> Count:
    """The counts of one problem. Ungraded rollouts never count as wrong."""
    scores = [rollout.score for rollout in rollouts]
    return Count(scores.count(1.0), len(scores) - scores.count(None), len(scores))


def solve_rates(
    rollouts: Iterable[Rollout], *, edges: Edges = EDGES, spread: Spread | None = None
) -> dict[str, SolveRate]:
    """Solve rate of every problem that has a graded rollout, by problem id; the spread is fitted to them."""
    by_problem: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_problem.setdefault(rollout.problem_id, []).append(rollout)
    counts = {name: count for name, some in by_problem.items() if (count := count_of(some)).graded}
    spread = spread or fit_spread(counts.values())
    return {problem_id: _solve_rate(problem_id, count, edges, spread) for problem_id, count in counts.items()}


def band_shares(rates: Iterable[SolveRate]) -> dict[Band, float]:
    """Share of the problems in each band."""
    bands = [rate.band for rate in rates]
    return {band: bands.count(band) / max(1, len(bands)) for band in BANDS}


def fit_spread(counts: Iterable[Count]) -> Spread:
    """The Beta(a, b) that makes the counts likeliest; even where fewer than FEWEST_FITTED problems have any."""
    correct, graded = np.array([(c.correct, c.graded) for c in counts if c.graded] or [(0, 0)]).T
    if len(graded) < FEWEST_FITTED:
        return Spread()

    def unlikely(log_ab: NDArray[np.float64]) -> float:
        return -float(betabinom.logpmf(correct, graded, *np.exp(log_ab)).sum())

    found = minimize(unlikely, [0.0, 0.0], bounds=[(np.log(LEAST), np.log(MOST))] * 2, method="Nelder-Mead")
    a, b = np.exp(found.x)
    return Spread(float(a), float(b))


def band_chances(
    correct: NDArray[np.int_], graded: NDArray[np.int_], edges: Edges, spread: Spread
) -> NDArray[np.float64]:
    """Posterior probability of hard, medium and simple, in this order, along a new last axis."""
    below = [beta.cdf(edge, spread.a + correct, spread.b + graded - correct) for edge in edges]
    return np.stack([below[0], below[1] - below[0], 1 - below[1]], axis=-1)


def _solve_rate(problem_id: str, count: Count, edges: Edges, spread: Spread) -> SolveRate:
    correct, graded, _ = count
    a, b = spread.a + correct, spread.b + graded - correct
    chances = band_chances(np.array(correct), np.array(graded), edges, spread)
    likeliest = int(chances.argmax())
    return SolveRate(
        problem_id,
        correct,
        graded,
        correct / graded,
        float(beta.ppf(0.025, a, b)),
        float(beta.ppf(0.975, a, b)),
        BANDS[::-1][likeliest],
        float(chances[likeliest]),
    )
