"""Solve rates and the bands that they fall into.

rates = solve_rates(rollouts)
rates["p1"].rho, rates["p1"].band, rates["p1"].low
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from scipy.stats import beta

from titer.records import Rollout

Band = Literal["simple", "medium", "hard"]
BANDS: tuple[Band, ...] = ("simple", "medium", "hard")


class SolveRate(NamedTuple):
    """ρ = correct / graded of one problem, with its 95 % Clopper–Pearson interval."""

    problem_id: str
    correct: int
    graded: int
    rho: float
    low: float
    high: float
    band: Band


def band_of(rho: float) -> Band:
    """simple [.75, 1], medium [.25, .75), hard [0, .25) (arXiv 2606.04466)."""
    return "simple" if rho >= 0.75 else "medium" if rho >= 0.25 else "hard"


def solve_rates(rollouts: Iterable[Rollout]) -> dict[str, SolveRate]:
    """Solve rate of every problem that has a graded rollout, by problem id. Ungraded rollouts never count as wrong."""
    counts: dict[str, tuple[int, int]] = {}
    for rollout in rollouts:
        if rollout.score is not None:
            correct, graded = counts.get(rollout.problem_id, (0, 0))
            counts[rollout.problem_id] = correct + (rollout.score == 1.0), graded + 1
    return {problem_id: _solve_rate(problem_id, *count) for problem_id, count in counts.items()}


def band_shares(rates: Iterable[SolveRate]) -> dict[Band, float]:
    """Share of the problems in each band."""
    bands = [rate.band for rate in rates]
    return {band: bands.count(band) / max(1, len(bands)) for band in BANDS}


def _solve_rate(problem_id: str, correct: int, graded: int) -> SolveRate:
    rho = correct / graded
    low = float(beta.ppf(0.025, correct, graded - correct + 1)) if correct else 0.0
    high = float(beta.ppf(0.975, correct + 1, graded - correct)) if correct < graded else 1.0
    return SolveRate(problem_id, correct, graded, rho, low, high, band_of(rho))
