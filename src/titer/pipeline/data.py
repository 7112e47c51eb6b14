"""First stage: problems, traces and suites from wherever the recipe says, checked before anything is spent.

prepare(recipe, work)              # writes problems, traces and suites as Parquet
inputs = load_inputs(folder)       # reads them back
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.lab.make import Made, MadeSuite, make_gym, make_lab
from titer.recipe import Recipe
from titer.records import Problem, Trace, read_problems, read_traces, refuse_overlap, write_records
from titer.store import file_hash, read_table, write_json, write_table
from titer.verify import validate_problem


class Suite(NamedTuple):
    """Evaluation problems by name and axis."""

    name: str
    axis: str
    problems: list[Problem]


class Inputs(NamedTuple):
    """What a run starts from."""

    problems: list[Problem]
    traces: list[Trace]
    suites: list[Suite]


def data_inputs(recipe: Recipe) -> dict[str, Any]:
    """What the data stage depends on: the recipe's block and the content of its files."""
    data = recipe.data
    files = [data.problems, data.traces, *(suite.problems for suite in data.suites.values())]
    return {
        "data": data.model_dump(mode="json"),
        "seed": recipe.seed,
        "files": {file: file_hash(file) for file in files if file},
    }


def prepare(recipe: Recipe, work: Path) -> None:
    """Make or read everything, refuse what is unsound, and write the tables.

    Raises InputError: nothing to train on or to evaluate, a trace of an unknown problem, a malformed problem, an
    evaluation problem among the training ones, and whatever the readers refuse.
    """
    dropped: list[InputError] = []
    made = _made(recipe, dropped)
    for problem in (*made.problems, *(problem for suite in made.suites.values() for problem in suite.problems)):
        validate_problem(problem)
    refuse_unknown_problems(made.traces, made.problems)
    evaluation = [problem for suite in made.suites.values() for problem in suite.problems]
    refuse_overlap([*made.problems, *made.traces], evaluation)
    write_records(work / "problems.parquet", made.problems)
    write_records(work / "traces.parquet", made.traces)
    for name, suite in made.suites.items():
        write_records(work / "suites" / f"{name}.parquet", suite.problems)
    write_table(work / "suites.parquet", [{"suite": name, "axis": suite.axis} for name, suite in made.suites.items()])
    write_json(work / "dropped_rows.json", [str(error) for error in dropped])


def load_inputs(folder: Path) -> Inputs:
    """The tables that `prepare` wrote."""
    suites = [
        Suite(row["suite"], row["axis"], list(read_problems(folder / "suites" / f"{row['suite']}.parquet")))
        for row in read_table(folder / "suites.parquet")
    ]
    problems = list(read_problems(folder / "problems.parquet"))
    return Inputs(problems, list(read_traces(folder / "traces.parquet")), suites)


def problems_of(traces: Iterable[Trace]) -> list[Problem]:
    """The problems that traces with a gold answer carry themselves. Raises InputError for a trace without one."""
    problems: dict[str, Problem] = {}
    for trace in traces:
        if not trace.answer:
            raise InputError(
                f"trace {trace.id!r} has no gold answer and there is no problem file",
                field="answer",
                remedy="give the problems, or an answer in each trace",
            )
        problems.setdefault(
            trace.problem_id,
            Problem(
                id=trace.problem_id,
                prompt=trace.prompt,
                answer=trace.answer,
                verifier=trace.verifier or "math",
                domain=trace.domain,
                meta=trace.meta if trace.verifier else {},
            ),
        )
    return list(problems.values())


def refuse_unknown_problems(traces: Sequence[Trace], problems: Sequence[Problem]) -> None:
    """Raises InputError naming the first trace whose problem is not among `problems`."""
    known = {problem.id for problem in problems}
    for row, trace in enumerate(traces, 1):
        if trace.problem_id not in known:
            raise InputError(
                f"trace {trace.id!r} belongs to problem {trace.problem_id!r}, which is not among the problems",
                row=row,
                field="problem_id",
                remedy="add the problem or remove the trace",
            )


def _made(recipe: Recipe, dropped: list[InputError]) -> Made:
    data = recipe.data
    given = [name for name in ("lab", "gym", "traces") if getattr(data, name)]
    if len(given) != 1:
        raise InputError(
            f"{' and '.join(given) or 'nothing'} given",
            field="data",
            remedy="give exactly one of traces, lab and gym",
        )
    if data.lab:
        return make_lab(data.lab, recipe.seed)
    if data.gym:
        return make_gym(data.gym, recipe.seed)
    return _read(recipe, dropped)


def _read(recipe: Recipe, dropped: list[InputError]) -> Made:
    data = recipe.data
    assert data.traces
    if not data.suites:
        raise InputError("no evaluation suite", field="data.suites", remedy="name at least one problem file")
    traces = list(read_traces(data.traces, on_bad=data.on_bad, dropped=dropped))
    problems = (
        list(read_problems(data.problems, on_bad=data.on_bad, dropped=dropped))
        if data.problems
        else problems_of(traces)
    )
    suites = {name: MadeSuite(suite.axis, list(read_problems(suite.problems))) for name, suite in data.suites.items()}
    return Made(problems, traces, suites)
