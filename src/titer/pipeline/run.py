"""The whole path: data → measure → curate → choose → plan → train → evaluate → report.

summary = run(load_recipe("quickstart"), out=Path("runs/quickstart"))
summary["in_domain"]["difference"]      # [low, mid, high]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from titer.errors import InputError
from titer.models import locate
from titer.pipeline.choose import check_objective, choose_objective, chosen
from titer.pipeline.data import Inputs, data_inputs, load_inputs, prepare, read_dropped
from titer.pipeline.measuring import measure_base
from titer.pipeline.plan import check_budget, is_planned, plan_training, read_plan, traces_of
from titer.pipeline.report import report
from titer.pipeline.stages import curate_traces, evaluate_models, train_model
from titer.recipe import Recipe, dump_recipe
from titer.records import read_traces
from titer.store import Run, file_hash

BASE, TRAINED = "base", "trained"


def run(
    recipe: Recipe, *, out: Path | None = None, said: Callable[[str], None] = lambda _: None, progress: bool = False
) -> dict[str, Any]:
    """Run what is not there yet, write the report, and return the summary that `summary.json` holds.

    `out` defaults to `runs/NAME`. Raises InputError for whatever a stage refuses.
    """
    check_objective(recipe.train.objective)
    check_objective(recipe.choose.candidate, field="choose.candidate")
    check_budget(recipe.train)
    out = out or Path("runs") / recipe.name
    place = locate(recipe.model)
    folder = Run.open(out, name=recipe.name, recipe_text=dump_recipe(recipe))
    model = {"model": recipe.model, "weights": file_hash(place) if Path(place).exists() else place}
    seed = {"seed": recipe.seed}

    data = folder.stage("data", data_inputs(recipe), lambda work: prepare(recipe, work), said=said)
    inputs = load_inputs(data)
    for line in read_dropped(data):
        said(f"dropped: {line}")
    from_data = {"data": folder.key("data"), **seed}
    if recipe.measure.problems:
        folder.stage(
            "measure",
            {
                **from_data,
                **model,
                "settings": recipe.measure.model_dump(),
                "route": recipe.route.model_dump(),
                "generate": recipe.generate.model_dump(),
            },
            lambda work: measure_base(recipe, inputs, work, said),
            said=said,
        )
    else:
        folder.leave_out("measure")
    kept = folder.stage(
        "curate",
        {**from_data, "settings": recipe.curate.model_dump()},
        lambda work: curate_traces(recipe, inputs, work),
        said=said,
    )
    recipe = _with_objective(recipe, folder, inputs, kept, {**from_data, **model}, said)
    recipe, stage = _planned(recipe, folder, inputs, kept, {**seed, **model}, said)
    trained = folder.stage(
        "train",
        {"traces": folder.key(stage), **seed, **model, "settings": recipe.train.model_dump()},
        lambda work: train_model(recipe, *traces_of(out / stage), work, progress=progress),
        said=said,
    )
    checkpoints = _checkpoints(recipe, trained)
    folder.stage(
        "evaluate",
        {
            **from_data,
            **model,
            "trained": folder.key("train"),
            "settings": recipe.evaluate.model_dump(),
            "generate": recipe.generate.model_dump(),
        },
        lambda work: evaluate_models(recipe, inputs.suites, checkpoints, work, said),
        said=said,
    )
    folder.sweep()
    return report(out)


def _with_objective(
    recipe: Recipe, folder: Run, inputs: Inputs, kept: Path, known: dict[str, Any], said: Callable[[str], None]
) -> Recipe:
    """The recipe with the objective that `auto` comes to; another one stays."""
    if recipe.train.objective != "auto":
        folder.leave_out("choose")
        return recipe
    sampling = _sampling_of(recipe)
    settings = {"choose": recipe.choose.model_dump(), "train": recipe.train.model_dump(), "sampling": sampling}
    found = folder.stage(
        "choose",
        {**known, "traces": folder.key("curate"), **settings},
        lambda work: choose_objective(recipe, inputs, list(read_traces(kept / "kept.parquet")), work, said),
        said=said,
    )
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"objective": chosen(found)})})


def _sampling_of(recipe: Recipe) -> dict[str, Any]:
    """How a trial's arms are sampled."""
    return recipe.evaluate.model_dump(include={"temperature", "top_p", "max_tokens"})


def _planned(
    recipe: Recipe, folder: Run, inputs: Inputs, kept: Path, known: dict[str, Any], said: Callable[[str], None]
) -> tuple[Recipe, str]:
    """The recipe with its budget in updates, and the stage that the traces to train on come from."""
    if not is_planned(recipe.train):
        folder.leave_out("plan")
        return recipe, "curate"
    trial = {"plan": recipe.plan.model_dump(), "sampling": _sampling_of(recipe), "data": folder.key("data")}
    found = folder.stage(
        "plan",
        {
            "traces": folder.key("curate"),
            **known,
            **(trial if recipe.train.repetition == "auto" else {}),
            "settings": recipe.train.model_dump(),
        },
        lambda work: plan_training(recipe, inputs.problems, list(read_traces(kept / "kept.parquet")), work, said),
        said=said,
    )
    settings = read_plan(found, recipe.train)
    return recipe.model_copy(update={"train": settings}), "plan"


def _checkpoints(recipe: Recipe, trained: Path) -> dict[str, str]:
    """Names in the tables and what to load for them: the base, checkpoints on the grid if asked, the last one."""
    found = sorted((trained / "checkpoints").iterdir())
    if not found:
        raise InputError("no checkpoint stands here", file=trained, remedy="remove the folder and run again")
    grid = {path.name: str(path) for path in found[:-1]} if recipe.evaluate.checkpoints == "grid" else {}
    return {BASE: recipe.model, **grid, TRAINED: str(found[-1])}
