"""After how many epochs token accuracy saturates, from a few short trainings.

    found = epochs_to_saturation([Probe(20, 1, hits), Probe(20, 8, more), Probe(10, 1, fewer)], updates=1000)
    found.epochs.mid     # epochs at which, in 1000 updates, token accuracy reaches AIM

The fit is ours. arXiv 2602.11149 gives token accuracy by epochs at equal updates, and on its figures the log-odds rise
in a straight line: by .18 to .20 an epoch for Olmo3-7B and .16 to .18 for Qwen3-8B from 1 to 16 epochs, by .28 to .30
for Qwen3-4B from 1 to 8. More updates raise the line too, and here by the logarithm of their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.records.results import Interval
from titer.train.length.endpoint import AIM

MOST_EPOCHS = 64.0  # the largest number that was best for a model of the paper (Olmo3-7B, hardly above 32)
ROUNDING = 1e-9  # of a slope in log-odds an epoch
RESAMPLES = 2000


class Probe(NamedTuple):
    """Token accuracy at the end of one training: hits and tokens of each trace of its fixed subset, (traces, 2)."""

    updates: int
    epochs: float
    hits_S2: NDArray[np.float64]

    @property
    def token_accuracy(self) -> float:
        """Share of all tokens that were hit."""
        hits, tokens = self.hits_S2.sum(axis=0)
        return float(hits / tokens)


class Saturation(NamedTuple):
    """Epochs until token accuracy reaches AIM, from 1 to MOST_EPOCHS, and how much the log-odds rise with each."""

    epochs: Interval
    rise: Interval


def epochs_to_saturation(probes: Sequence[Probe], *, updates: int, seed: int = 0) -> Saturation:
    """The line through three probes of different epochs and updates, carried on to so many updates.

    log-odds = a + b · epochs + c · ln(updates). Intervals are 95 % bootstraps over the probes' traces; they do not hold
    how wrong the line may be.
    """
    rng = np.random.default_rng([seed, 6])
    draws = np.array([_fit([_drawn(one, rng) for one in probes], updates) for _ in range(RESAMPLES)])
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    ends = zip(low, _fit(probes, updates), high, strict=True)
    return Saturation(*(Interval(float(a), mid, float(b)) for a, mid, b in ends))


def _fit(probes: Sequence[Probe], updates: int) -> tuple[float, float]:
    """Epochs until AIM, and the rise of the log-odds with each."""
    known = np.array([[1.0, one.epochs, math.log(one.updates)] for one in probes])
    a, b, c = np.linalg.lstsq(known, np.array([_log_odds(one) for one in probes]), rcond=None)[0]
    b = b if abs(b) > ROUNDING else 0.0  # which would be a sure rise where the probes are equal
    left = math.log(AIM / (1 - AIM)) - a - max(c, 0.0) * math.log(updates) - min(c, 0.0) * math.log(probes[0].updates)
    if left <= b:  # one epoch is enough
        return 1.0, float(b)
    return (MOST_EPOCHS if b <= 0 else min(MOST_EPOCHS, float(left / b))), float(b)


def _log_odds(probe: Probe) -> float:
    """Of a hit. Half a token is added to both sides, so that none and all have some."""
    hits, tokens = probe.hits_S2.sum(axis=0)
    return math.log((hits + 0.5) / (tokens - hits + 0.5))


def _drawn(probe: Probe, rng: np.random.Generator) -> Probe:
    return probe._replace(hits_S2=probe.hits_S2[rng.integers(0, len(probe.hits_S2), len(probe.hits_S2))])
