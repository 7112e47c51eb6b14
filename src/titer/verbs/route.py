"""Which problems go to SFT, to RL, to the bridge, and which are mastered.

result = route("problems.jsonl", "measured", out="routed")
result.places      # {"mastered": 31, "sft": 120, "rl": 84, "bridge": 36}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, get_args

from titer.errors import InputError, reading
from titer.measure import Band, SolveRate
from titer.recipe import Route
from titer.records import Problem, write_records
from titer.stages import PLACES, gaps, rehearsed, sent_to, shares
from titer.stages import route as allocate
from titer.store import read_table, write_table
from titer.verbs.sampling import OnBad, checked_problems


class RouteResult(NamedTuple):
    """How many problems go to each place, how many mastered ones are rehearsed, and what is left without any."""

    places: dict[str, int]
    rehearsed: int
    gaps: list[str]
    dropped: list[str]


def route(
    problems: str | Path,
    measured: str | Path,
    *,
    out: str | Path,
    settings: Route | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
) -> RouteResult:
    """Sort a file of problems by the solve rates that `titer measure` wrote into the folder `measured`.

    Writes into `out` a file of problems for each place (`sft.jsonl`, `rl.jsonl`, `bridge.jsonl`, `mastered.jsonl`,
    `aside.jsonl`), `rehearsal.jsonl`, and `ledger.parquet`, which says of every problem where it goes and why. Raises
    InputError for bad rows, and for problems that were not measured.
    """
    settings, folder, dropped = settings or Route(), Path(out), list[InputError]()
    rows = {problem.id: problem for problem in checked_problems(problems, on_bad, dropped)}
    rates = _rates_of(rows, Path(measured), on_bad, dropped)
    ledger = list(allocate(rates, settings.allocation).values())
    folder.mkdir(parents=True, exist_ok=True)
    for place in PLACES:
        _write(folder / f"{place}.jsonl", [rows[name] for name in sent_to(ledger, place)])
    again = rehearsed(ledger, settings.rehearsal, seed)
    _write(folder / "rehearsal.jsonl", [rows[name] for name in again])
    write_table(folder / "ledger.parquet", [entry.row for entry in ledger])
    return RouteResult(shares(ledger), len(again), gaps(ledger), [str(error) for error in dropped])


def _rates_of(
    problems: dict[str, Problem], measured: Path, on_bad: OnBad, dropped: list[InputError]
) -> dict[str, SolveRate]:
    """The solve rate of every problem, in the order of the problems."""
    file = measured / "solve_rates.parquet"
    known = read_rates(file)
    for name in [name for name in problems if name not in known]:
        fault = InputError(
            f"problem {name!r} has no solve rate",
            file=file,
            remedy="measure this file of problems, or pass --on-bad drop",
        )
        if on_bad == "stop":
            raise fault
        dropped.append(fault)
    rates = {name: known[name] for name in problems if name in known}
    if not rates:
        raise InputError("has a solve rate of none of the problems", file=file, remedy="measure this file of problems")
    return rates


def read_rates(file: Path) -> dict[str, SolveRate]:
    """Solve rates by problem id. Raises InputError for a table of something else."""
    rows = read_table(file)
    if rows and set(rows[0]) != set(SolveRate._fields):
        raise InputError("holds no solve rates of this version", file=file, remedy="run titer measure again")
    with reading(file, remedy="run titer measure again"):
        return {str(row["problem_id"]): _rate(row) for row in rows}


def _rate(row: dict[str, Any]) -> SolveRate:
    """A row's solve rate. Raises ValueError or TypeError for one that is none."""
    rate = SolveRate(**row)
    if rate.band not in get_args(Band) or not 0 <= rate.correct <= rate.graded:
        raise ValueError(f"{rate.correct} of {rate.graded} right, band {rate.band!r}")
    return rate._replace(rho=float(rate.rho), low=float(rate.low), high=float(rate.high), surety=float(rate.surety))


def _write(file: Path, problems: list[Problem]) -> None:
    """The problems of one place; an empty place has no file, not one of an earlier call."""
    if problems:
        write_records(file, problems)
    else:
        file.unlink(missing_ok=True)
