"""Two finished runs held against each other.

    found = two_runs("runs/first", "runs/second")
    found.differences[0].change          # B − A on the first axis, with its paired interval

Their trained models are compared on the problems that both evaluated; nothing is sampled again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from titer.errors import InputError
from titer.evaluate import compare, summarise
from titer.pipeline.data import Suite, load_inputs
from titer.pipeline.evaluation.evaluating import passing_of, settings_of
from titer.pipeline.evaluation.judging import Asked, as_judged, axis_curves, halves_of
from titer.pipeline.reporting.gather import gather
from titer.recipe import SAMPLED, Recipe, load_recipe
from titer.records import Decision, Problem, Rollout, read_rollouts
from titer.report import (
    DecisionChange,
    MovedProblem,
    Moves,
    RecipeChange,
    TwoRuns,
    moved_rows,
    moves,
    pick_moved,
    render_two_runs,
)
from titer.rollouts.claim import shown
from titer.store import fetched, read_manifest, write_text

A, B = "A", "B"
UNLIKE: Final = "evaluate both runs on the same problems, with the same data.lab or data.suites and the same seed"


class _Finished(NamedTuple):
    """What a comparison needs of a run."""

    place: str
    recipe: Recipe
    suites: dict[str, Suite]
    rollouts: list[Rollout]
    decisions: Sequence[Decision]
    versions: Mapping[str, str]


def two_runs(a: Path | str, b: Path | str) -> TwoRuns:
    """What differs between two runs, and what came of it.

    Raises InputError for a run that is not finished, for runs that share no suite or no problem, and where a problem
    has the same name in both and is another one.
    """
    left, right = _finished(a), _finished(b)
    shared = [name for name in left.suites if name in right.suites]
    if not shared:
        theirs = " and ".join(f"{run.place} has {', '.join(run.suites)}" for run in (left, right))
        raise InputError(f"the runs share no suite: {theirs}", remedy=UNLIKE)
    for name in shared:
        _refuse_other_problems(left, right, name)
    one, other = (_of_suites(run, shared, name) for run, name in ((left, A), (right, B)))
    sides = {0: one, 1: other}
    answers = {(name, one.id): one.answer for name, suite in left.suites.items() for one in suite.problems}
    passing = set(passing_of(left.recipe)) & set(passing_of(right.recipe)) & set(shared)
    halves = halves_of(left.suites.values())
    curves = axis_curves(sides, halves, passing=passing)
    moved, passed = moves(sides), {left.suites[name].axis for name in passing}
    return TwoRuns(
        a=left.place,
        b=right.place,
        recipe=recipe_changes(left.recipe, right.recipe),
        decisions=decision_changes(left.decisions, right.decisions),
        suites=summarise([*one, *other], halves=halves),
        differences=[as_judged(difference, curves, passed) for difference in compare(one, other, halves=halves)],
        parts={axis: {name: part.change(1) for name, part in at.parts.items()} for axis, at in curves.items()},
        moves=moved,
        pairs=pick_moved(one, other, moved, answers=answers),
        notes=list(_notes(left, right, shared, moved)),
    )


def _finished(place: Path | str) -> _Finished:
    run, _ = fetched(place, reading=True)
    manifest = read_manifest(run)
    rollouts = run / "evaluate" / "rollouts.parquet"
    trained = [row for row in read_rollouts(rollouts) if row.model == "trained"] if rollouts.exists() else []
    if "evaluate" not in manifest["stages"] or not trained:
        raise InputError("has no evaluation yet", file=place, remedy="finish it with `titer run`")
    data = gather(run, to_read=False)
    return _Finished(
        str(place),
        load_recipe(run / "recipe.yaml"),
        {suite.name: suite for suite in load_inputs(run / "data").suites},
        trained,
        data.decisions,
        data.manifest.versions if data.manifest else {},
    )


def _refuse_other_problems(left: _Finished, right: _Finished, suite: str) -> None:
    ours: dict[str, Problem] = {problem.id: problem for problem in left.suites[suite].problems}
    theirs, axes = right.suites[suite].problems, (left.suites[suite].axis, right.suites[suite].axis)
    if axes[0] != axes[1]:
        raise InputError(
            f"suite {suite!r} is on the axis {axes[1]}, and on {axes[0]} in {left.place}",
            file=right.place,
            field="axis",
            remedy="give it the same axis in both recipes, and run the one that is wrong again",
        )
    if not any(problem.id in ours for problem in theirs):
        raise InputError(f"shares no problem of suite {suite!r} with {left.place}", file=right.place, remedy=UNLIKE)
    for problem in theirs:
        if problem.id in ours and shown(ours[problem.id]) != shown(problem):
            fault = f"problem {problem.id!r} of suite {suite!r} is another one in {left.place}"
            raise InputError(fault, file=right.place, remedy=UNLIKE)


def _of_suites(run: _Finished, suites: Sequence[str], model: str) -> list[Rollout]:
    return [replace(row, model=model) for row in run.rollouts if row.suite in suites]


def recipe_changes(a: Recipe, b: Recipe) -> list[RecipeChange]:
    """The keys with different values, in the recipe's order; a run's name is none of them."""
    ours, theirs = (dict(_leaves(recipe.model_dump(mode="json"))) for recipe in (a, b))
    keys = [key for key in dict.fromkeys([*ours, *theirs]) if key != "name"]
    return [RecipeChange(key, ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)]


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def decision_changes(a: Sequence[Decision], b: Sequence[Decision]) -> list[DecisionChange]:
    """The questions with different choices; one that is asked every round is compared round by round."""
    ours, theirs = _asked(a), _asked(b)
    return [
        DecisionChange(stage, question, ours.get(key), theirs.get(key))
        for key in dict.fromkeys([*ours, *theirs])
        for stage, question, _ in [key]
        if _choice(ours.get(key)) != _choice(theirs.get(key))
    ]


def _asked(decisions: Sequence[Decision]) -> dict[tuple[str, str, int], Decision]:
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for decision in decisions:
        key = (decision.stage, decision.question)
        seen[key] += 1
        found[(*key, seen[key])] = decision
    return found


def _choice(decision: Decision | None) -> str | None:
    return decision.choice if decision else None


def _notes(left: _Finished, right: _Finished, shared: Sequence[str], moved: Sequence[Moves]) -> Iterable[str]:
    for suite in shared:
        if (suite in passing_of(left.recipe)) != (suite in passing_of(right.recipe)):
            yield f"{suite} counts by pass@k in one and by avg@k in the other: by avg@k here"
        ours, theirs = (settings_of(run.recipe, suite).model_dump(include=set(SAMPLED)) for run in (left, right))
        differ = [f"{key} {ours[key]:g} in A, {theirs[key]:g} in B" for key in SAMPLED if ours[key] != theirs[key]]
        if differ:
            yield f"{suite} was sampled otherwise ({'; '.join(differ)}): the difference is that of the sampling, too"
    for name, run, other in ((A, left, right), (B, right, left)):
        if alone := [suite for suite in run.suites if suite not in other.suites]:
            yield f"only {name} evaluated {', '.join(alone)}: not compared"
    asked = [{Asked(row.suite, row.problem_id) for row in run.rollouts if row.suite in shared} for run in (left, right)]
    if only := len(asked[0] ^ asked[1]):
        yield f"{only:,} problems of shared suites that only one of them evaluated are left out"
    if (uneven := sum(one.problems for one in moved)) < len(asked[0] & asked[1]):
        yield (
            f"gained and lost are told of {uneven:,} problems: the others were graded more than twice as often in one"
        )
    for package, version in left.versions.items():
        if (second := right.versions.get(package)) != version:
            yield f"{package} is {version} in A, {second or 'not there'} in B"


def write_two_runs(found: TwoRuns, out: Path | str) -> dict[str, Any]:
    """Write the page of a comparison, and return what programs read of it: `report` says where the page is."""
    write_text(Path(out), render_two_runs(found))
    return {
        "a": found.a,
        "b": found.b,
        "notes": list(found.notes),
        "recipe": [one._asdict() for one in found.recipe],
        "decisions": [
            {"stage": one.stage, "question": one.question, "a": _choice(one.a), "b": _choice(one.b)}
            for one in found.decisions
        ],
        "axes": {
            axis: {**_measured(found, axis, ""), "parts": {name: list(change) for name, change in parts.items()}}
            for axis, parts in found.parts.items()
        },
        "suites": {
            d.suite: _measured(found, d.axis, d.suite)
            for d in found.differences
            if d.level == "suite" and d.measure == "accuracy" and d.problems
        },
        "moved": [
            {"axis": row["axis"], "moved": row["moved"], **{key: row[key] for key in MovedProblem._fields}}
            for row in moved_rows(found.moves)
        ],
        "report": str(out),
    }


def _measured(found: TwoRuns, axis: str, suite: str) -> dict[str, Any]:
    """Of an axis (suite "") or a suite: the problems, and each measure of A and B with their difference."""
    level = "suite" if suite else "axis"
    rows = [d for d in found.differences if (d.level, d.axis, d.suite) == (level, axis, suite)]
    measures: dict[str, Any] = {
        d.measure: {"a": d.base_value, "b": d.other_value, "difference": list(d.change), "call": d.better} for d in rows
    }
    return {"problems": max((d.problems for d in rows), default=0), **measures}
