"""Which problems go to SFT, to RL, to the bridge, and which are mastered.

result = route("problems.jsonl", "measured", out="routed")
result.places      # {"mastered": 31, "sft": 120, "rl": 84, "bridge": 36}
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.measure import SolveRate
from titer.pipeline.routes.rates import Rates, read_rates
from titer.recipe import Route
from titer.records import Problem, write_records
from titer.records.reading import OnBad
from titer.rollouts.claim import hash_of
from titer.stages import PLACES, gaps, rehearsed, sent_to, shares
from titer.stages import route as allocate
from titer.store import write_table
from titer.verbs.reading import checked_problems


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
    InputError for bad rows, and for problems that were not measured, or whose id was that of another one.
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
    rates = dict[str, SolveRate]()
    for name, problem in problems.items():
        if fault := _fault_of(problem, known):
            error = InputError(fault, file=file, remedy="measure this file of problems, or pass --on-bad drop")
            if on_bad == "stop":
                raise error
            dropped.append(error)
        else:
            rates[name] = known.rates[name]
    if not rates:
        raise InputError("has a solve rate of none of the problems", file=file, remedy="measure this file of problems")
    return rates


def _fault_of(problem: Problem, known: Rates) -> str:
    """Why a problem has no solve rate; empty where it has one. Files that number their problems share ids."""
    if problem.id not in known.rates:
        return f"problem {problem.id!r} has no solve rate"
    if known.hashes.get(problem.id, mine := hash_of(problem)) != mine:
        return f"another problem was measured by the id {problem.id!r}"
    return ""


def _write(file: Path, problems: list[Problem]) -> None:
    """The problems of one place; an empty place has no file, not one of an earlier call."""
    if problems:
        write_records(file, problems)
    else:
        file.unlink(missing_ok=True)
