"""Whether a claim appears: a paired difference over seeds, its interval, and a rule.

change = interval([-0.05, -0.07, -0.04])
verdict(change, "below")      # "appears"
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

from titer.records.results import Interval

Verdict = Literal["appears", "does not appear", "cannot tell"]
Direction = Literal["above", "below", "not below"]
MARGIN = 0.05  # by which something may seem below, and still count as not below (ours)

RULE = (
    "appears: the 95 % interval of the paired difference over seeds excludes zero in the paper's direction; "
    "does not appear: it excludes zero in the other; cannot tell: it includes zero, or there are fewer than two seeds. "
    f"Not below: appears where the interval ends above −{MARGIN:g}, does not appear where it lies below zero"
)
INTERVAL = "95 %, Student t over the seeds' values (differences: paired within a seed); null: fewer than two seeds"


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % Student t interval of one value a seed; the ends are unknown (nan) below two seeds, and so is the
    mean where a seed's value is, for instance of an axis of which nothing could be graded."""
    from scipy import stats

    if any(math.isnan(value) for value in values):
        return Interval(math.nan, math.nan, math.nan)
    mid = statistics.fmean(values)
    if len(values) < 2:
        return Interval(math.nan, mid, math.nan)
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mid - half, mid, mid + half)


def verdict(change: Interval, direction: Direction) -> Verdict:
    """RULE, applied to the interval of a difference that the paper has `direction` zero."""
    if direction == "not below":
        return "does not appear" if change.high < 0 else "appears" if change.low > -MARGIN else "cannot tell"
    if not change.excludes_zero:
        return "cannot tell"
    return "appears" if (change.low > 0) == (direction == "above") else "does not appear"
