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

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from titer.errors import InputError
from titer.records.results import Interval

Floats = NDArray[np.float64]
ALPHA = 0.05


class Stratum(NamedTuple):
    """What a stratum adds to the covariance [T, T] of the means, and its degrees of freedom."""

    cov_TT: Floats
    freedom: int


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
    strata: tuple[Stratum, ...] = ()
    """What the covariance is the sum of, where it is of several parts."""

    @property
    def last(self) -> int:
        """The place of the last checkpoint."""
        return len(self.steps) - 1

    def change(self, later: int, earlier: int = 0, *, tests: int = 1, alpha: float = ALPHA) -> Interval:
        """The mean at one place less that at another, with an interval that holds together with those of `tests` - 1
        other differences. It includes zero wherever fewer than six problems differ: below that no sign-flip test
        reaches 5 %. Both ends are nan where there is but one problem, of all or of a stratum. With several strata the
        degrees of freedom are Welch's: those of a small one where it has most of the variance."""
        mid = float(self.mean_T[later] - self.mean_T[earlier])
        if self.freedom < 1:
            return Interval(float("nan"), mid, float("nan"))
        variance = _of_difference(self.cov_TT, later, earlier)
        level = 1 - (1 - (1 - alpha) ** (1 / max(1, tests))) / 2
        half = float(student.ppf(level, self._freedom(later, earlier)) * np.sqrt(variance))
        return Interval(mid - half, mid, mid + half).with_differing(int(self.differing_TT[later, earlier]))

    def _freedom(self, later: int, earlier: int) -> float:
        """Degrees of freedom of a difference (Satterthwaite, Biometrics Bulletin 2, 1946, eq. 17)."""
        variances = [_of_difference(stratum.cov_TT, later, earlier) for stratum in self.strata]
        if not sum(variances):
            return self.freedom
        return sum(variances) ** 2 / sum(v**2 / at.freedom for v, at in zip(variances, self.strata, strict=True))


def _of_difference(cov_TT: Floats, later: int, earlier: int) -> float:
    """The variance of a difference of two means."""
    return max(0.0, float(cov_TT[later, later] + cov_TT[earlier, earlier] - 2 * cov_TT[later, earlier]))


def curve_of_rates(
    steps: Sequence[int],
    rates_PT: Floats,
    strata_P: Sequence[Hashable] | None = None,
    asked_of_P: Sequence[Hashable] | None = None,
) -> Curve:
    """The curve of per-problem rates [problems, checkpoints], nan where a problem was not asked.

    With `strata_P` the mean of the strata's means, each with the same weight: what a score of two halves is that must
    not be had one without the other.

    Base and last checkpoint must be there for every problem. Others may have been asked a random part of the problems
    of each group that `asked_of_P` names: a group's change from the base is then taken over its part, and weighs as
    much as the group is large (double sampling for stratification; Cochran 1977, chapter 12). Raises InputError for
    rows that do not fit the checkpoints.
    """
    rates_PT = np.asarray(rates_PT, dtype=np.float64)
    if rates_PT.ndim != 2 or rates_PT.shape[1] != len(steps):
        raise InputError(
            f"rates of shape {rates_PT.shape} for {len(steps)} checkpoints", remedy="give a column a checkpoint"
        )
    strata = np.array(_numbered(strata_P, len(rates_PT)))
    groups = np.array(_numbered(asked_of_P, len(rates_PT)))
    parts = [_stratum(rates_PT[strata == one], groups[strata == one]) for one in np.unique(strata)]
    share = 1 / max(1, len(parts))
    added = tuple(Stratum(share**2 * part.cov_TT, part.freedom) for part in parts)
    return Curve(
        tuple(steps),
        sum((share * part.mean_T for part in parts), start=np.zeros(len(steps))),
        sum((stratum.cov_TT for stratum in added), start=np.zeros((len(steps), len(steps)))),
        _differing(rates_PT),
        len(rates_PT),
        sum(part.freedom for part in parts) if all(part.freedom > 0 for part in parts) else 0,
        added if len(added) > 1 else (),
    )


def curve_of_scores(
    steps: Sequence[int], scores: Sequence[float], *, problems: int, errors: Sequence[float] | None = None
) -> Curve:
    """The curve of accuracies in [0, 1] of which only the numbers are known, with their standard `errors`.

    Without the problems nothing says how far the checkpoints agree: they are taken as independent, and intervals are
    wider than paired ones. Without errors, or where one is zero, each has the variance of n problems of one answer,
    which is at least what k samples of each have (`variance_of`). No more problems differ than answers of one kind
    could: from 0 right to 4 that is 4. Raises InputError for a score outside of [0, 1].
    """
    mean_T = np.asarray(scores, dtype=np.float64)
    if len(steps) != len(mean_T) or not ((mean_T >= 0) & (mean_T <= 1)).all():
        raise InputError(f"scores {list(scores)}", remedy="give one accuracy in [0, 1] a checkpoint")
    right_TT = mean_T[:, None] + mean_T[None]
    differing = np.floor(problems * np.minimum(1, np.minimum(right_TT, 2 - right_TT)) + 1e-6).astype(np.int64)
    error_T = np.zeros(len(mean_T)) if errors is None else np.asarray(errors, dtype=np.float64)
    plain_T = [variance_of(float(mean), problems) for mean in mean_T]
    variance_T = np.where(error_T > 0, np.square(error_T), plain_T)
    return Curve(tuple(steps), mean_T, np.diag(variance_T), differing, problems, problems - 1)


def variance_of(score: float, problems: int) -> float:
    """The variance p(1 − p)/n of a share; where all or none are right, that of one more of each kind (Agresti and
    Caffo, The American Statistician 54, 2000): such a share is not known without error."""
    right = score if 0 < score < 1 else (score * problems + 1) / (problems + 2)
    return right * (1 - right) / (problems if right == score else problems + 2)


class _Part(NamedTuple):
    """A stratum: means, covariance of the means, and its degrees of freedom."""

    mean_T: Floats
    cov_TT: Floats
    freedom: int


def _numbered(labels: Sequence[Hashable] | None, count: int) -> list[int]:
    """The labels as numbers, in the order in which they come; one and the same where there are none."""
    places: dict[Hashable, int] = {}
    return [places.setdefault(label, len(places)) for label in labels] if labels is not None else [0] * count


def _stratum(rates_PT: Floats, groups_P: NDArray[np.int64]) -> _Part:
    """Covariance: of all problems as a sample, and on top, for what only parts were asked, of parts within groups."""
    groups_P = _told_apart(rates_PT, groups_P)
    parts = [rates_PT[groups_P == one] for one in np.unique(groups_P)]
    shares = [len(part) / len(rates_PT) for part in parts]
    means = [_group_mean(part) for part in parts]
    mean_T = np.asarray(sum(share * mean for share, mean in zip(shares, means, strict=True)))
    asked = [part[~np.isnan(part).any(axis=1)] for part in parts]
    if min(len(rows) for rows in asked) < 2:
        return _Part(mean_T, np.zeros((len(mean_T), len(mean_T))), 0)
    partly_T: NDArray[np.bool_] = np.asarray(np.isnan(rates_PT).any(axis=0))
    partly_TT = partly_T[:, None] & partly_T[None]
    spread_TT, extra_TT = np.zeros((len(mean_T), len(mean_T))), np.zeros((len(mean_T), len(mean_T)))
    for share, mean, part, rows in zip(shares, means, parts, asked, strict=True):
        within_TT = np.cov(rows, rowvar=False).reshape(len(mean_T), -1)
        change_TT = within_TT - within_TT[:1] - within_TT[:, :1] + within_TT[0, 0]
        spread_TT += share * (within_TT + np.outer(mean - mean_T, mean - mean_T))
        extra_TT += share**2 * (1 / len(rows) - 1 / len(part)) * change_TT
    cov_TT = spread_TT / len(rates_PT) + np.where(partly_TT, extra_TT, 0.0)
    return _Part(mean_T, cov_TT, sum(map(len, asked)) - len(parts))


def _told_apart(rates_PT: Floats, groups_P: NDArray[np.int64]) -> NDArray[np.int64]:
    """The groups, those with fewer than two problems that were asked everywhere taken into the largest: of one alone
    nothing is known of its spread, and that must not make the whole axis unknown."""
    everywhere_P: NDArray[np.bool_] = np.asarray(~np.isnan(rates_PT).any(axis=1))
    labels, sizes = np.unique(groups_P, return_counts=True)
    largest = labels[sizes.argmax()]
    few = [label for label in labels if int((everywhere_P & (groups_P == label)).sum()) < 2]
    return np.where(np.isin(groups_P, few), largest, groups_P)


def _group_mean(rates_PT: Floats) -> Floats:
    """Means of a group; where a part was asked, the base's over all and the change over the part."""
    rows = rates_PT[~np.isnan(rates_PT).any(axis=1)]
    whole_T = ~np.isnan(rates_PT).any(axis=0)
    moved_T = rows.mean(axis=0) - rows[:, 0].mean() if len(rows) else np.full(rates_PT.shape[1], np.nan)
    return np.asarray(np.where(whole_T, np.nan_to_num(rates_PT).mean(axis=0), rates_PT[:, 0].mean() + moved_T))


def _differing(rates_PT: Floats) -> NDArray[np.int64]:
    known_PTT = ~(np.isnan(rates_PT)[:, :, None] | np.isnan(rates_PT)[:, None, :])
    differ: NDArray[np.int64] = ((rates_PT[:, :, None] != rates_PT[:, None, :]) & known_PTT).sum(axis=0)
    return differ
