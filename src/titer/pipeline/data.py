"""First stage: problems, traces and suites from wherever the recipe says, checked before anything is spent.

prepare(recipe, work)              # writes problems, traces and suites as Parquet
inputs = load_inputs(folder)       # reads them back
"""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError, reading
from titer.lab.make import Made, MadeSuite, make_gym, make_lab
from titer.pipeline.decisions import write_decisions
from titer.pipeline.separate import refuse_shared, with_own_ids, without_overlap
from titer.recipe import SAMPLED, Data, GymData, Recipe
from titer.records import (
    Decision,
    Problem,
    Trace,
    kept_turns,
    normalised,
    read_problems,
    read_traces,
    refuse_overlap,
    write_records,
)
from titer.records.reading import OnBad
from titer.store import STAGE_AGAIN, file_hash, read_json, read_table, write_json, write_table
from titer.verify import validate_problem

LISTED = 20  # dropped rows that the report shows
SAMPLING = ("samples", *SAMPLED, "aggregate")  # what a suite may have of its own


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
    rehearsal: list[Trace] = []  # noqa: RUF012 - a default of a NamedTuple, which nobody changes


def data_inputs(recipe: Recipe) -> dict[str, Any]:
    """What the data stage depends on: the recipe's block and the content of its files."""
    data = recipe.data
    files = [data.problems, data.traces, data.rehearsal, *(suite.problems for suite in data.suites.values())]
    return {
        # how a suite is sampled is the evaluation's matter
        "data": data.model_dump(mode="json", exclude={"suites": {"__all__": {*SAMPLING}}}),
        "seed": recipe.seed,
        "files": {file: file_hash(file) for file in files if file},
    }


def prepare(recipe: Recipe, work: Path) -> None:
    """Make or read everything, refuse what is unsound, and write the tables.

    Raises InputError: nothing to train on or to evaluate, a trace of an unknown problem, a malformed problem, an
    evaluation problem among the training ones, one prompt in two suites, and whatever the readers refuse. Where bad
    rows are dropped, such evaluation problems are too, and listed.
    """
    dropped: list[InputError] = []
    made = _made(recipe, dropped)
    made = made._replace(rehearsal=with_own_ids(made.rehearsal, {trace.id for trace in made.traces}))
    train: list[Problem | Trace] = [*made.problems, *made.traces, *made.rehearsal]
    if recipe.data.on_bad == "drop":
        made = made._replace(suites=without_overlap(made.suites, train, dropped))
    refuse_overlap(train, [problem for suite in made.suites.values() for problem in suite.problems])
    refuse_shared(made.suites)
    write_records(work / "problems.parquet", made.problems)
    write_records(work / "traces.parquet", made.traces)
    if made.rehearsal:
        write_records(work / "rehearsal.parquet", made.rehearsal)
    for name, suite in made.suites.items():
        write_records(work / "suites" / f"{name}.parquet", suite.problems)
    write_table(work / "suites.parquet", [{"suite": name, "axis": suite.axis} for name, suite in made.suites.items()])
    write_json(work / "dropped_rows.json", [str(error) for error in dropped])
    write_decisions(work, [_decision(dropped)] if recipe.data.on_bad == "drop" else [])


def _decision(dropped: list[InputError]) -> Decision:
    return Decision(
        stage="data",
        question="Which rows could not be used?",
        choice=f"{len(dropped)} dropped",
        rule="the recipe says drop; dropped_rows.json lists all",
        evidence={f"dropped row {number}": str(error) for number, error in enumerate(dropped[:LISTED], 1)},
        setting="data.on_bad",
    )


def load_inputs(folder: Path) -> Inputs:
    """The tables that `prepare` wrote."""
    rows = read_table(folder / "suites.parquet")
    with reading(folder / "suites.parquet", remedy=STAGE_AGAIN):
        named = [(str(row["suite"]), str(row["axis"])) for row in rows]
    suites = [Suite(name, axis, list(read_problems(folder / "suites" / f"{name}.parquet"))) for name, axis in named]
    problems = list(read_problems(folder / "problems.parquet"))
    rehearsal = folder / "rehearsal.parquet"
    return Inputs(
        problems,
        list(read_traces(folder / "traces.parquet")),
        suites,
        list(read_traces(rehearsal)) if rehearsal.exists() else [],
    )


def read_dropped(folder: Path) -> list[str]:
    """The rows that the data stage dropped, a line each."""
    return read_json(folder / "dropped_rows.json", lambda lines: [str(line) for line in lines])


def problem_of(trace: Trace) -> Problem:
    """The problem that a trace with a gold answer carries itself. Raises InputError for a trace without one."""
    if not trace.answer:
        raise InputError(
            f"trace {trace.id!r} has no gold answer and there is no problem file",
            field="answer",
            remedy="give the problems, or an answer in each trace",
        )
    return Problem(
        id=trace.problem_id,
        prompt=trace.prompt,
        answer=trace.answer,
        verifier=trace.verifier or "math",
        domain=trace.domain,
        meta=trace.meta if trace.verifier else kept_turns(trace),
    )


def refuse_unknown_problem(trace: Trace, known: Container[str]) -> None:
    """Raises InputError when the trace's problem is not among the `known` ids."""
    if trace.problem_id not in known:
        raise InputError(
            f"trace {trace.id!r} belongs to problem {trace.problem_id!r}, which is not among the problems",
            field="problem_id",
            remedy="add the problem or remove the trace",
        )


def refuse_other_question(trace: Trace, problem: Problem) -> None:
    """Raises InputError where the trace's own question is not that of `problem`, which has the id that it names.

    The same question may be worded otherwise (a teacher's own instructions) where its answer is the same; one without
    an answer may have such words before or behind it.
    """
    if trace.prompt == problem.prompt or trace.answer == problem.answer:
        return
    ours, theirs = normalised(trace.prompt), normalised(problem.prompt)
    if ours == theirs or (not trace.answer and (ours in theirs or theirs in ours)):
        return
    raise InputError(
        f"trace {trace.id!r} calls another question {trace.problem_id!r} than an earlier trace",
        field="problem_id",
        remedy="give each question an id of its own: merged files may number their rows alike",
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
    if not data.lab and not data.gym:
        return _read(recipe, dropped)
    if data.problems:
        raise InputError("problems, and a maker of problems", field="data.problems", remedy="leave one of them out")
    made = make_lab(data.lab, recipe.seed) if data.lab else make_gym(data.gym or GymData(), recipe.seed)
    suites = _suites(data, dropped)
    if both := sorted(set(suites) & set(made.suites)):
        raise InputError(f"two suites {both[0]!r}", field="data.suites", remedy="give the file's suite another name")
    maker = "lab" if data.lab else "gym"
    for made_any, part in ((made.problems, "problems"), (made.suites | suites, "suites")):
        if not made_any:
            raise InputError(
                "nothing is to be made", field=f"data.{maker}.{part}", remedy="ask for at least one problem"
            )
    return made._replace(suites=made.suites | suites, rehearsal=[*made.rehearsal, *_rehearsal(data, dropped)])


def _read(recipe: Recipe, dropped: list[InputError]) -> Made:
    data = recipe.data
    assert data.traces
    if not data.suites:
        raise InputError("no evaluation suite", field="data.suites", remedy="name at least one problem file")
    suites = _suites(data, dropped)
    if data.problems:
        problems = {problem.id: problem for problem in _problems(data.problems, data.on_bad, dropped)}
        traces = _traces(data, dropped, lambda trace: refuse_unknown_problem(trace, problems))
    else:
        first = dict[str, Problem]()

        def check(trace: Trace) -> None:
            validate_problem(problem := problem_of(trace))
            refuse_other_question(trace, first.setdefault(trace.problem_id, problem))

        traces = _traces(data, dropped, check)
        problems = {}
        for trace in traces:
            problems.setdefault(trace.problem_id, problem_of(trace))
    return Made(list(problems.values()), traces, suites, _rehearsal(data, dropped))


def _suites(data: Data, dropped: list[InputError]) -> dict[str, MadeSuite]:
    return {
        name: MadeSuite(suite.axis, _problems(suite.problems, data.on_bad, dropped))
        for name, suite in data.suites.items()
    }


def _rehearsal(data: Data, dropped: list[InputError]) -> list[Trace]:
    """Past every filter they go into training: what a filter would drop as unsound is a bad row here."""
    if not data.rehearsal:
        return []
    return list(
        read_traces(data.rehearsal, on_bad=data.on_bad, dropped=dropped, truncated="bad", check=_refuse_unanswered)
    )


def _refuse_unanswered(trace: Trace) -> None:
    if not trace.response.strip():
        fault = f"trace {trace.id!r} has no response after the thinking"
        raise InputError(fault, field="response", remedy="remove it, or give its response")


def _problems(file: str, on_bad: OnBad, dropped: list[InputError]) -> list[Problem]:
    return list(read_problems(file, on_bad=on_bad, dropped=dropped, check=validate_problem))


def _traces(data: Data, dropped: list[InputError], check: Callable[[Trace], None]) -> list[Trace]:
    assert data.traces
    return list(read_traces(data.traces, on_bad=data.on_bad, dropped=dropped, check=check))
