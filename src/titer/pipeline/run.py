"""The whole path: data → measure → curate → choose → plan → train → evaluate → report, or rounds of SFT, RL, critique.

summary = run(load_recipe("quickstart"), out=Path("runs/quickstart"))
summary["in_domain"]["difference"]      # [low, mid, high]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from titer.errors import InputError
from titer.pipeline.alone import locked
from titer.pipeline.curating import check_curation, curate_traces
from titer.pipeline.data import data_inputs, load_inputs, prepare, read_dropped
from titer.pipeline.evaluation.evaluating import evaluate_models, settings_of
from titer.pipeline.going import Going, Model, base_of, checkpoints_of, made_by
from titer.pipeline.reporting.report import report
from titer.pipeline.rounds import check_rounds, leave_out_rounds, run_rounds
from titer.pipeline.routes.measuring import measure_stage
from titer.pipeline.routes.routing import route_measured
from titer.pipeline.training.choose import check_objective
from titer.pipeline.training.fine_tune import fine_tune
from titer.pipeline.training.launching import command_of
from titer.pipeline.training.plan import check_budget
from titer.recipe import Recipe, dump_recipe
from titer.store import Run

BASE, TRAINED = "base", "trained"


def run(
    recipe: Recipe,
    *,
    out: Path | str | None = None,
    said: Callable[[str], None] = lambda _: None,
    progress: bool = False,
) -> dict[str, Any]:
    """Run what is not there yet, write the report, and return the summary that `summary.json` holds.

    `out` defaults to `runs/NAME`; it may be an address that fsspec knows (`s3://bucket/run`): a finished stage is put
    there, and another machine goes on from it. Raises InputError for whatever a stage refuses, and where another titer
    works in the folder.
    """
    check_objective(recipe.train.objective)
    check_objective(recipe.choose.candidate, field="choose.candidate")
    check_budget(recipe.train)
    check_rounds(recipe)
    check_curation(recipe)
    command_of(recipe.train.launch)  # refuses what this machine cannot start
    place = out or Path("runs") / recipe.name
    with locked(place):
        return _run(recipe, place, said, progress)


def _run(recipe: Recipe, out: Path | str, said: Callable[[str], None], progress: bool) -> dict[str, Any]:
    base = base_of(recipe)
    folder = Run.open(out, name=recipe.name, recipe_text=dump_recipe(recipe), model=recipe.model, said=said)
    data = folder.stage("data", data_inputs(recipe), lambda work: prepare(recipe, work), said=said)
    inputs = load_inputs(data)
    for line in read_dropped(data):
        said(f"dropped: {line}")
    going = Going(recipe, folder, inputs, said, progress)
    if not recipe.stages.rounds:
        _measure(going, base)
    folder.stage(
        "curate",
        {**going.known, "settings": recipe.curate.model_dump()},
        lambda work: curate_traces(recipe, inputs, work),
        said=said,
    )
    grid, trained = _trained(going, base)
    checkpoints = {BASE: recipe.model, **grid, TRAINED: trained.name}
    folder.stage(
        "evaluate",
        {
            **going.known,
            "model": base.key,
            "trained": trained.key,
            "settings": recipe.evaluate.model_dump(),
            "suites": {name: settings_of(recipe, name).model_dump() for name in recipe.data.suites},
            "generate": recipe.generate.decisive(),
        },
        lambda work: evaluate_models(recipe, inputs.suites, checkpoints, work, said),
        spent=[*checkpoints],
        said=said,
    )
    folder.sweep()
    summary = report(folder.path)
    if folder.mirror:
        folder.mirror.commit_beside()
    return summary


def _measure(going: Going, base: Model) -> None:
    """Solve rates of the base, for the report."""
    if going.recipe.measure.problems:
        measure_stage(going, base)
        route_measured(going)
        return
    for name in ("measure", "route"):
        going.folder.leave_out(name)


def refuse_missing(checkpoints: Mapping[int, Path]) -> None:
    """Raises InputError where a checkpoint of the grid up to the last one is gone: its point must not be left out of
    the curves unsaid."""
    from titer.train.length.schedule import log_grid

    last = max(checkpoints)
    for step in log_grid(last):
        if step and step not in checkpoints:
            raise InputError(
                f"checkpoint {step} of the grid is gone",
                file=checkpoints[last].parent,
                remedy="remove the train folder, or say evaluate.checkpoints=last",
            )


def _trained(going: Going, base: Model) -> tuple[dict[str, str], Model]:
    """Checkpoints on the grid, where they are asked for, by their names in the tables; and the model at the end."""
    leave_out_rounds(going)
    if going.recipe.stages.rounds:
        return {}, run_rounds(going, "curate", base)
    found = checkpoints_of(fine_tune(going, "curate", base))
    if going.recipe.evaluate.checkpoints == "grid":
        refuse_missing(found)
    before = list(found.values())[:-1] if going.recipe.evaluate.checkpoints == "grid" else []
    grid = {path.name: str(path) for path in before}
    return grid, made_by(going, "train")
