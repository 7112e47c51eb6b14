"""The solve rates that measuring leaves for routing, in a run or not, each with the hash of its problem.

write_rates(folder / "solve_rates.parquet", rates, problems)
rates, hashes = read_rates(folder / "solve_rates.parquet")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from titer.errors import InputError, reading
from titer.measure import Band, SolveRate
from titer.records import Problem
from titer.rollouts.claim import hash_of
from titer.store import read_table, write_table

_HASH: Final = "problem"
_AGAIN: Final = "run titer measure again"


class Rates(NamedTuple):
    """Solve rates by problem id, and the hash of each problem, which tables of earlier versions lack."""

    rates: dict[str, SolveRate]
    hashes: dict[str, str]


def write_rates(file: Path, rates: Mapping[str, SolveRate], problems: Iterable[Problem]) -> None:
    """A row a problem."""
    hashes = {problem.id: hash_of(problem) for problem in problems}
    write_table(file, [{**rate._asdict(), _HASH: hashes[name]} for name, rate in rates.items()])


def read_rates(file: Path, *, remedy: str = _AGAIN) -> Rates:
    """What `write_rates` wrote. Raises InputError for a table of something else."""
    rows = read_table(file)
    if rows and set(rows[0]) - {_HASH} != set(SolveRate._fields):
        raise InputError("holds no solve rates of this version", file=file, remedy=remedy)
    hashes = {str(row["problem_id"]): str(row.pop(_HASH)) for row in rows if _HASH in row}
    with reading(file, remedy=remedy):
        return Rates({str(row["problem_id"]): _rate(row) for row in rows}, hashes)


def _rate(row: dict[str, Any]) -> SolveRate:
    """A row's solve rate. Raises ValueError or TypeError for one that is none."""
    rate = SolveRate(**row)
    if rate.band not in get_args(Band) or not 0 <= rate.correct <= rate.graded:
        raise ValueError(f"{rate.correct} of {rate.graded} right, band {rate.band!r}")
    return rate._replace(rho=float(rate.rho), low=float(rate.low), high=float(rate.high), surety=float(rate.surety))
