"""A measure over checkpoints, with what its checkpoints have in common.

    curve = curve_of_rates([0, 10, 20], rates_PT)       # a row a problem, a column a checkpoint
    curve.change(2, 0)                                  # the last against the base: an Interval
    curve_of_scores([0, 20, 640], [.708, .629, .862], problems=500)     # published numbers

Every problem is asked at every checkpoint, so the checkpoints' means share which problems were drawn: the covariance
of the means carries that, and any difference of checkpoints takes its interval from it. Intervals are Student's t over
problems; those of several checkpoints at once are widened by Šidák's correction, so that all of them hold together with
95 %. Both are ours: arXiv 2604.06628 gives no intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from titer.errors import InputError
from titer.records.results import FEWEST_DIFFERING, Interval

Floats = NDArray[np.float64]
ALPHA = 0.05


class Curve(NamedTuple):
    """Means [T] of a measure at T checkpoints, the covariance [T, T] of these means, and what they are over.

    `steps[0]` is the base. `differing_TT` counts the problems on which two checkpoints are not level.
    """

    steps: tuple[int, ...]
    mean_T: Floats
    cov_TT: Floats
    differing_TT: NDArray[np.int64]
    problems: int
    freedom: int
    """Degrees of freedom of the covariance: problems less strata; 0 where nothing is known of it."""

    @property
    def last(self) -> int:
        """The place of the last checkpoint."""
        return len(self.steps) - 1

    def change(self, later: int, earlier: int = 0, *, tests: int = 1, alpha: float = ALPHA) -> Interval:
        """The mean at one place less that at another, with an interval that holds together with those of `tests` - 1
        other differences. It includes zero wherever fewer than six problems differ: below that no sign-flip test
        reaches 5 %. Both ends are nan where there is but one problem, of all or of a stratum."""
        mid = float(self.mean_T[later] - self.mean_T[earlier])
        if self.freedom < 1:
            return Interval(float("nan"), mid, float("nan"))
        variance = self.cov_TT[later, later] + self.cov_TT[earlier, earlier] - 2 * self.cov_TT[later, earlier]
        level = 1 - (1 - (1 - alpha) ** (1 / max(1, tests))) / 2
        half = float(student.ppf(level, self.freedom) * np.sqrt(max(0.0, variance)))
        if self.differing_TT[later, earlier] < FEWEST_DIFFERING:
            half = max(half, abs(mid))
        return Interval(mid - half, mid, mid + half)

    def until(self, place: int) -> Curve:
        """The curve as it was at an earlier checkpoint."""
        cut = slice(0, place + 1)
        return self._replace(
            steps=self.steps[cut],
            mean_T=self.mean_T[cut],
            cov_TT=self.cov_TT[cut, cut],
            differing_TT=self.differing_TT[cut, cut],
        )


def curve_of_rates(steps: Sequence[int], rates_PT: Floats, strata_P: Sequence[object] | None = None) -> Curve:
    """The curve of per-problem rates [problems, checkpoints].

    With `strata_P` the mean of the strata's means, each with the same weight: what a score of two halves is that must
    not be had one without the other. Raises InputError for rows that do not fit the checkpoints.
    """
    rates_PT = np.asarray(rates_PT, dtype=np.float64)
    if rates_PT.ndim != 2 or rates_PT.shape[1] != len(steps):
        raise InputError(
            f"rates of shape {rates_PT.shape} for {len(steps)} checkpoints", remedy="give a column a checkpoint"
        )
    labels = np.asarray(strata_P if strata_P is not None else np.zeros(len(rates_PT)))
    parts = [rates_PT[labels == label] for label in sorted(set(labels.tolist()))]
    share = 1 / max(1, len(parts))
    zeros = np.zeros((len(steps), len(steps)))
    return Curve(
        tuple(steps),
        np.asarray(sum(share * part.mean(axis=0) for part in parts)),
        np.asarray(sum((share**2 * _covariance(part) for part in parts), start=zeros)),
        (rates_PT[:, :, None] != rates_PT[:, None, :]).sum(axis=0),
        len(rates_PT),
        len(rates_PT) - len(parts) if all(len(part) > 1 for part in parts) else 0,
    )


def curve_of_scores(
    steps: Sequence[int], scores: Sequence[float], *, problems: int, errors: Sequence[float] | None = None
) -> Curve:
    """The curve of accuracies in [0, 1] of which only the numbers are known, with their standard `errors`.

    Without the problems nothing says how far the checkpoints agree: they are taken as independent, and intervals are
    wider than paired ones. Without errors each has the variance p(1 − p)/n of n problems, which is at least what k
    samples of each have. Raises InputError for a score outside of [0, 1].
    """
    mean_T = np.asarray(scores, dtype=np.float64)
    if len(steps) != len(mean_T) or not ((mean_T >= 0) & (mean_T <= 1)).all():
        raise InputError(f"scores {list(scores)}", remedy="give one accuracy in [0, 1] a checkpoint")
    differing = np.full((len(steps), len(steps)), problems)
    variance_T = np.square(errors) if errors is not None else mean_T * (1 - mean_T) / problems
    return Curve(tuple(steps), mean_T, np.diag(variance_T), differing, problems, problems - 1)


def _covariance(rates_PT: Floats) -> Floats:
    """Of the means; zero for one problem, of which nothing is known."""
    if len(rates_PT) < 2:
        return np.zeros((rates_PT.shape[1], rates_PT.shape[1]))
    return np.asarray(np.cov(rates_PT, rowvar=False).reshape(rates_PT.shape[1], -1) / len(rates_PT))
