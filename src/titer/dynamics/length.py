"""The second signal: how long the completions are, and whether they end.

    read_length(curve)      # "surging" | "contracting" | "flat" | "re-growing" | "cannot tell"

In arXiv 2604.06628 length surges where the scores dip (thinking that does not end), then contracts: still falling means
under-trained, flat settled, growing again late while other domains fall overfitted. The rules are ours.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from titer.dynamics.curve import Curve
from titer.records.results import LengthSignal

NOTABLE: Final = 0.1
"""Change that counts, as a share of the base's length."""


def read_length(curve: Curve) -> LengthSignal:
    """From mean tokens of a completion. The first that fits:

    - re-growing: the last checkpoint is longer than the shortest one after the peak, which was shorter than the peak;
    - contracting: shorter than the peak, and shorter than the checkpoint before, which is not the base: from two points
      nothing says that it goes on;
    - surging: longer than the base, and not shorter than the peak;
    - flat: within a tenth of the checkpoint before (of the base, where there is none);
    - cannot tell.

    Longer and shorter are by at least a tenth of the base's length, the interval excluding less.
    """
    if curve.freedom < 1:
        return "cannot tell"
    peak = int(np.argmax(curve.mean_T))
    valley = peak + int(np.argmin(curve.mean_T[peak:]))
    if peak < valley < curve.last and _longer(curve, peak, valley) and _longer(curve, curve.last, valley):
        return "re-growing"
    contracted = _longer(curve, peak, curve.last)
    low, _, high = curve.change(curve.last, curve.last - 1)
    notable = NOTABLE * curve.mean_T[0]
    if contracted and curve.last > 1 and high < -notable:
        return "contracting"
    if not contracted and _longer(curve, curve.last, 0):
        return "surging"
    return "flat" if -notable < low and high < notable else "cannot tell"


def _longer(curve: Curve, one: int, other: int) -> bool:
    """Whether one place is notably longer than another, both picked among all."""
    return curve.change(one, other, tests=max(1, curve.last)).low > NOTABLE * float(curve.mean_T[0])
