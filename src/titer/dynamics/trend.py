"""When a climbing axis should be back at the base, from how it climbed.

back_at(curve, trough=3)        # Interval of updates, or None where it does not climb
"""

from __future__ import annotations

from typing import Final

import numpy as np

from titer.dynamics.curve import Curve, Floats
from titer.records.results import Interval

DRAWS: Final = 2000
FARTHEST: Final = 64
"""Longest extrapolation, in multiples of the last update: beyond it nothing is said."""


def back_at(curve: Curve, trough: int) -> Interval | None:
    """The update at which the line through the checkpoints since the trough, over the logarithm of updates, meets the
    base; with the 95 % interval of drawing the means from their covariance.

    An end that is beyond 64 times the last update is infinite. None where fewer than two checkpoints stand since the
    trough, or the line does not rise. Ours: that recovery is straight in the logarithm is how the published curves
    look, not a finding.
    """
    places = range(trough, curve.last + 1)
    if trough < 1 or len(places) < 2:
        return None
    x_T = np.log2([curve.steps[place] for place in places])
    mid = float(_crossings(curve.mean_T[None], x_T, trough)[0])
    if not np.isfinite(mid):
        return None
    rng = np.random.default_rng(0)
    drawn_DT = rng.multivariate_normal(curve.mean_T, curve.cov_TT, size=DRAWS, method="eigh")
    low, high = np.quantile(_crossings(drawn_DT, x_T, trough), [0.025, 0.975], method="nearest")
    return Interval(float(low), mid, float(high))


def _crossings(mean_DT: Floats, x_T: Floats, trough: int) -> Floats:
    """For each draw the update at which its line meets its base; infinite where it never does."""
    change_DT = mean_DT[:, trough:] - mean_DT[:, :1]
    centred_T = x_T - x_T.mean()
    slope_D = change_DT @ centred_T / (centred_T @ centred_T)
    with np.errstate(divide="ignore", over="ignore"):
        at_D = x_T.mean() - change_DT.mean(axis=1) / slope_D
        limit = np.log2(FARTHEST) + x_T[-1]
        return np.where((slope_D > 0) & (at_D < limit), np.exp2(np.minimum(at_D, limit)), np.inf)
