"""Two teachers, problem by problem.

comparison = compare(traces, a="R1", b="gpt-oss")
comparison.features["propose_share"].difference        # (low, mid, high) of a − b
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.errors import InputError
from titer.records import Trace
from titer.traces.cues import BEHAVIOURS
from titer.traces.features import Table, batches, measure, read, stack, transitions
from titer.traces.steps import text_of

RESAMPLES = 2000
FEWEST = 2  # problems: the bootstrap of one is a point, which would say too much; the interval is nan
Floats = NDArray[np.float64]


class FeatureDifference(NamedTuple):
    """Means of both teachers over the shared problems, and a − b with its 95 % interval (low, mid, high).

    The interval's ends are nan for fewer than FEWEST problems.
    """

    a: float
    b: float
    difference: tuple[float, float, float]
    problems: int


class Comparison(NamedTuple):
    """Two teachers on the problems they share.

    `shared` counts these problems; `problems` are those compared. `correct` is the share of each teacher's graded
    traces of shared problems that are right (nan: none was graded). `transitions` hold, per teacher, how often each
    behaviour follows each, as shares of the rows, in the order of `BEHAVIOURS`. `steps` are each teacher's steps per
    compared problem, [problems].
    """

    a: str
    b: str
    problems: int
    shared: int
    correct: tuple[float, float]
    features: dict[str, FeatureDifference]
    transitions: tuple[Floats, Floats]
    steps: tuple[Floats, Floats]


def compare(
    traces: Iterable[Trace],
    *,
    a: str,
    b: str,
    only: Literal["solved", "all"] = "solved",
    extra: Callable[[Sequence[Trace]], Table] | None = None,
    seed: int = 0,
) -> Comparison:
    """Every feature of the traces of teachers `a` and `b` (parts of their names), paired over shared problems.
    A part that fits several teachers takes them as one.

    `only="solved"` compares the problems that both solved, as far as traces are graded: neither teacher has only
    wrong or cut traces of them, and those are left out. A problem with several traces of a teacher counts by their
    mean. `extra` may compute more columns, one number a trace. Intervals are percentile bootstraps over problems.
    Raises InputError when a name fits no teacher, when both fit the same one, or when nothing is shared.
    """
    rows = list(traces)
    teachers = [_teachers(rows, part) for part in (a, b)]
    if twice := set(teachers[0]) & set(teachers[1]):
        fault = f"{a!r} and {b!r} both fit {sorted(twice)[0]!r}"
        raise InputError(fault, field="teacher", remedy="write more of the names")
    names = [", ".join(found) for found in teachers]
    sides = [_by_problem([trace for trace in rows if trace.teacher in found]) for found in teachers]
    shared = [problem for problem in sides[0] if problem in sides[1]]
    correct = tuple(_correct([trace for problem in shared for trace in side[problem]]) for side in sides)
    if only == "solved":
        sides = [{problem: [t for t in found if _solved(t)] for problem, found in side.items()} for side in sides]
    problems = [problem for problem in shared if sides[0][problem] and sides[1][problem]]
    if not problems:
        raise InputError(
            f"{names[0]!r} and {names[1]!r} share no problem{' that both solved' * (only == 'solved')}",
            remedy="give traces of the same problems, with the same problem_id or prompt",
        )
    (table_a, moves_a), (table_b, moves_b) = (_table(side, problems, extra) for side in sides)
    rng = np.random.default_rng(seed)
    features = {name: _difference(table_a[name], table_b[name], rng) for name in table_a}
    return Comparison(
        names[0],
        names[1],
        len(problems),
        len(shared),
        (correct[0], correct[1]),
        features,
        (moves_a, moves_b),
        (table_a["steps"], table_b["steps"]),
    )


def _teachers(traces: Sequence[Trace], part: str) -> list[str]:
    names = sorted({trace.teacher for trace in traces})
    found = [part] if part in names else [name for name in names if part.lower() in name.lower()]
    if not found:
        known = ", ".join(filter(None, names)) or "no trace names its teacher"
        raise InputError(f"{part!r} fits no teacher", field="teacher", remedy=f"there are: {known}")
    return found


def _by_problem(traces: Sequence[Trace]) -> dict[str, list[Trace]]:
    found: dict[str, list[Trace]] = {}
    for trace in traces:
        found.setdefault(trace.problem_id, []).append(trace)
    return found


def _solved(trace: Trace) -> bool:
    return trace.correct is not False and not trace.truncated


def _correct(traces: Sequence[Trace]) -> float:
    graded = [trace.correct for trace in traces if trace.correct is not None]
    return sum(graded) / len(graded) if graded else float("nan")


def _table(
    side: dict[str, list[Trace]], problems: Sequence[str], extra: Callable[[Sequence[Trace]], Table] | None
) -> tuple[Table, Floats]:
    """Each feature's mean per problem, and the teacher's transition shares."""
    traces = [trace for problem in problems for trace in side[problem]]
    place = np.repeat(np.arange(len(problems)), [len(side[problem]) for problem in problems])
    moves, tables = np.zeros((len(BEHAVIOURS), len(BEHAVIOURS))), list[Table]()
    for batch in batches([text_of(trace) for trace in traces]):
        reading = read(batch)
        moves += transitions(reading).sum(axis=0)
        tables.append(measure(reading))
    whole = moves.sum(axis=1, keepdims=True)
    shares = np.divide(moves, whole, where=whole > 0, out=np.zeros(moves.shape))
    table = stack(tables) | (extra(traces) if extra else {})
    return {name: _means(column, place, len(problems)) for name, column in table.items()}, shares


def _means(column: Floats, place: NDArray[np.int64], count: int) -> Floats:
    there = ~np.isnan(column)
    number = np.bincount(place[there], minlength=count)
    total = np.bincount(place[there], weights=column[there], minlength=count)
    return np.divide(total, number, where=number > 0, out=np.full(count, np.nan))


def _difference(a: Floats, b: Floats, rng: np.random.Generator) -> FeatureDifference:
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if not len(a):
        nan = float("nan")
        return FeatureDifference(nan, nan, (nan, nan, nan), 0)
    difference = a - b
    draws = difference[rng.integers(0, len(a), (RESAMPLES, len(a)))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975]) if len(a) >= FEWEST else (np.nan, np.nan)
    change = (float(low), float(difference.mean()), float(high))
    return FeatureDifference(float(a.mean()), float(b.mean()), change, len(a))


def transition_rows(shares: Floats) -> dict[str, dict[str, float]]:
    """A transition matrix with its names: from, to, share."""
    rows = zip(BEHAVIOURS, shares, strict=True)
    return {name: dict(zip(BEHAVIOURS, map(float, row), strict=True)) for name, row in rows}
