"""Scores of graded rollouts: counts per problem, avg@k, pass@k, termination, parse rate, length.

    for summary in summarise(rollouts):
        print(summary.model, summary.suite, summary.accuracy, summary.pass_at[4])

Every interval here is a 95 % percentile bootstrap over problems (Efron 1979): problems are drawn with
replacement, all rollouts of a drawn problem together, so an interval covers both which problems were asked and
which samples were drawn. It is too narrow for very few problems, and has no width where all problems agree.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.errors import InputError
from titer.records.results import Interval, Measure, SuiteSummary
from titer.records.schema import Rollout

Floats = NDArray[np.float64]
Halves = Mapping[tuple[str, str], str]
"""(suite, problem) → the half of a score that the problem counts in; see `halves_of` in titer.pipeline."""

RESAMPLES: Final = 10_000

# The C columns of `Counts.rates`. Each measure is the ratio of two column sums.
COLUMNS: Final = 6
_RIGHT, _PARSED, _GRADED, _ENDED, _LENGTH, _COMPLETED = range(6)
MEASURES: Final[Mapping[Measure, tuple[int, int]]] = {
    "accuracy": (_RIGHT, _GRADED),
    "terminated": (_ENDED, _COMPLETED),
    "parsed": (_PARSED, _GRADED),
    "accuracy_given_parsed": (_RIGHT, _PARSED),
    "tokens": (_LENGTH, _COMPLETED),
}
_SHARED: Final = (_RIGHT, _PARSED, _GRADED)  # the columns of which halves have equal shares


class Group(NamedTuple):
    """Rollouts that are summarised together."""

    model: str
    axis: str
    suite: str


@dataclass(slots=True)
class Counts:
    """Running counts of one problem's rollouts. `completed` leaves out those on which the backend gave up."""

    samples: set[int] = field(default_factory=set)
    graded: int = 0
    correct: int = 0
    parsed: int = 0
    completed: int = 0
    terminated: int = 0
    completed_tokens: int = 0
    tokens: int = 0
    ungraded: list[str] = field(default_factory=list)

    def add(self, rollout: Rollout) -> None:
        """Count one rollout. Raises InputError for a repeated sample or a grade that contradicts itself."""
        _refuse_unsound(rollout, self.samples)
        self.samples.add(rollout.sample)
        self.tokens += rollout.tokens
        if rollout.finish_reason != "error":
            self.completed += 1
            self.terminated += rollout.finish_reason == "stop"
            self.completed_tokens += rollout.tokens
        if rollout.score is None:
            self.ungraded.append(rollout.id)
        else:
            self.graded += 1
            self.correct += rollout.score == 1.0
            self.parsed += rollout.parsed is not None

    def rates(self) -> tuple[float, ...]:
        """One row of the rates: shares of the graded and of the completed rollouts, 0 where there are none."""
        graded, completed = max(self.graded, 1), max(self.completed, 1)
        return (
            self.correct / graded,
            self.parsed / graded,
            float(self.graded > 0),
            self.terminated / completed,
            self.completed_tokens / completed,
            float(self.completed > 0),
        )


def _refuse_unsound(rollout: Rollout, seen: set[int]) -> None:
    if rollout.sample in seen:
        raise InputError(
            f"rollout {rollout.id} of model {rollout.model!r} appears twice in suite {rollout.suite!r}",
            remedy="keep one row per model, suite, problem and sample",
            field="sample",
        )
    if rollout.score not in (None, 0.0, 1.0):
        raise InputError(
            f"rollout {rollout.id} has score {rollout.score}",
            remedy="use 1.0 for right, 0.0 for wrong, null for not graded",
            field="score",
        )
    if rollout.score == 1.0 and rollout.parsed is None:
        raise InputError(
            f"rollout {rollout.id} is graded right without an answer that was read",
            remedy="put the answer that the verifier read into `parsed`",
            field="parsed",
        )


def count(rollouts: Iterable[Rollout]) -> dict[Group, dict[str, Counts]]:
    """Counts per group and problem, in the order of first appearance."""
    groups: dict[Group, dict[str, Counts]] = {}
    for rollout in rollouts:
        problems = groups.setdefault(Group(rollout.model, rollout.axis, rollout.suite), {})
        problems.setdefault(rollout.problem_id, Counts()).add(rollout)
    return groups


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that k samples hold a right one, from c right among n: 1 − C(n−c, k) / C(n, k).

    arXiv 2107.03374, eq. 1, in the product form that neither overflows nor cancels.
    Raises InputError unless 0 ≤ c ≤ n and 1 ≤ k ≤ n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise InputError(f"pass@{k} is not defined for {c} right of {n} samples", remedy="use 0 ≤ c ≤ n and 1 ≤ k ≤ n")
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def summarise(
    rollouts: Iterable[Rollout],
    *,
    k: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    halves: Halves = MappingProxyType({}),
) -> list[SuiteSummary]:
    """One SuiteSummary per model and suite, in the order of first appearance.

    Each problem weighs the same, however many samples it has. Accuracy and parse rate are shares of the graded
    rollouts, termination and length of those the backend completed; an ungraded rollout is never a wrong one.
    With a_i and p_i the right and the parsed share of problem i, Acc = mean a_i, ParseRate = mean p_i and
    Acc|Parse = Σ a_i / Σ p_i, so that Acc = ParseRate × Acc|Parse (a right rollout is always a parsed one).
    Intervals are 95 % percentile bootstraps over problems, from `resamples` draws seeded by (seed, suite).

    `pass_at` holds pass@1, 2, 4, … up to and including `k` (default: the most graded samples of a problem);
    each is the mean over the problems with at least that many graded samples, and left out where there are none.

    Of a suite whose problems are in several `halves`, accuracy, parse rate, Acc|Parse and pass@k weigh the halves
    alike, however many problems each has; draws are then taken within the halves.

    Raises InputError for a repeated sample, a score other than 1, 0 or None, or a right rollout without answer.
    """
    return [
        _summary(group, problems, [halves.get((group.suite, name), "") for name in problems], k, resamples, seed)
        for group, problems in count(rollouts).items()
    ]


def _summary(
    group: Group, problems: Mapping[str, Counts], kinds: Sequence[str], k: int | None, resamples: int, seed: int
) -> SuiteSummary:
    rates = weighed(np.array([counts.rates() for counts in problems.values()]), kinds)  # [problems, C]
    draws = resampled_sums(rates, resamples=resamples, seed=(seed, name_seed(group.suite)), kinds=kinds)
    sums = rates.sum(axis=0)
    measured = {
        measure: interval(ratio(sums, measure), ratio(draws, measure), problems=fewest(measure, rates, kinds))
        for measure in MEASURES
    }
    return SuiteSummary(
        model=group.model,
        suite=group.suite,
        axis=group.axis,
        problems=len(problems),
        samples=sum(len(counts.samples) for counts in problems.values()),
        accuracy=measured["accuracy"],
        pass_at=_pass_at(list(problems.values()), kinds, k),
        terminated=measured["terminated"],
        parsed=measured["parsed"],
        accuracy_given_parsed=measured["accuracy_given_parsed"],
        tokens=measured["tokens"],
        ungraded=tuple(name for counts in problems.values() for name in counts.ungraded),
    )


def _pass_at(problems: Sequence[Counts], kinds: Sequence[str], k: int | None) -> dict[int, float]:
    most = max(counts.graded for counts in problems)
    last = most if k is None else min(k, most)
    return {size: _passed(problems, kinds, size) for size in _powers_up_to(last)}


def _passed(problems: Sequence[Counts], kinds: Sequence[str], size: int) -> float:
    """pass@size: the mean over the problems with so many graded samples, of halves the mean of theirs."""
    by_kind: dict[str, list[float]] = {}
    for problem, kind in zip(problems, kinds, strict=True):
        if problem.graded >= size:
            by_kind.setdefault(kind, []).append(pass_at_k(problem.graded, problem.correct, size))
    return float(np.mean([np.mean(rates) for rates in by_kind.values()]))


def _powers_up_to(last: int) -> Iterator[int]:
    """1, 2, 4, … below `last`, then `last` itself (nothing for 0)."""
    size = 1
    while size < last:
        yield size
        size *= 2
    if last:
        yield last


def name_seed(name: str) -> int:
    """A number that is the same for a name on every machine, so that one suite's draws ignore the others."""
    return zlib.crc32(name.encode())


def weighed(rates_PC: Floats, kinds: Sequence[str]) -> Floats:
    """The rates with the columns of grades weighed so that every kind of problem counts alike in a ratio of sums."""
    there = dict.fromkeys(kind for kind, row in zip(kinds, rates_PC, strict=True) if row[_GRADED])
    if len(there) < 2:
        return rates_PC
    kind_P, graded_P = np.array(kinds), rates_PC[:, _GRADED]
    found = rates_PC.copy()
    for kind in there:
        share = graded_P.sum() / (len(there) * graded_P[kind_P == kind].sum())
        found[np.ix_(kind_P == kind, _SHARED)] *= share
    return found


def fewest(measure: Measure, rates_PC: Floats, kinds: Sequence[str]) -> int:
    """Problems that an interval of the measure rests on: of the smallest kind where kinds count alike. What counts
    nothing in its denominator, such as a problem that could not be graded, is none of them."""
    of = [kind for kind, counts in zip(kinds, rates_PC[:, MEASURES[measure][1]] > 0, strict=True) if counts]
    alike = set(MEASURES[measure]) <= set(_SHARED)
    return min(Counter(of).values(), default=0) if alike else len(of)


def resampled_sums(values: Floats, *, resamples: int, seed: Sequence[int], kinds: Sequence[str] = ()) -> Floats:
    """Column sums of `resamples` bootstrap draws of the rows of `values` [problems, C]: an array [resamples, C].

    A draw takes as many rows as there are, with replacement, and with `kinds` as many of each kind. It is held as how
    often each row came, so that all sums of a block are one matrix product.
    """
    rng = np.random.default_rng(seed)
    kind_P = np.array(kinds or [""] * len(values))
    parts = [values[kind_P == kind] for kind in dict.fromkeys(kind_P.tolist())]
    return np.asarray(np.sum([_sums_of(rng, part, resamples) for part in parts], axis=0), dtype=np.float64)


def _sums_of(rng: np.random.Generator, values: Floats, resamples: int) -> Floats:
    problems = len(values)
    block = max(1, 4_000_000 // max(problems, 1))  # 32 MB of draws at a time
    sums = [_drawn_rows(rng, problems, min(block, resamples - start)) @ values for start in range(0, resamples, block)]
    return np.concatenate(sums)


def _drawn_rows(rng: np.random.Generator, problems: int, resamples: int) -> Floats:
    """How often each problem came in each draw: an array [resamples, problems]."""
    drawn = rng.integers(problems, size=(resamples, problems)) + problems * np.arange(resamples)[:, None]
    times = np.bincount(drawn.ravel(), minlength=resamples * problems)
    return times.reshape(resamples, problems).astype(np.float64)


def ratio(sums: Floats, measure: Measure) -> Floats:
    """The measure from column sums [..., C]; nan where its denominator is zero."""
    numerator, denominator = MEASURES[measure]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., numerator] / sums[..., denominator], dtype=np.float64)


def interval(mid: Floats | float, draws: Floats, *, problems: int) -> Interval:
    """The 95 % percentile interval of the draws [resamples] around `mid`.

    One problem says nothing about others: both ends are then unknown. Draws in which the measure is undefined
    (nothing parsed) are left out.
    """
    defined = draws[np.isfinite(draws)]
    if problems < 2 or not len(defined):
        return Interval(float("nan"), float(mid), float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(low), float(mid), float(high))
