"""SFT inside a run: objective, plan and training, on the traces of an earlier stage.

trained = fine_tune(going, "curate", base_of(recipe))       # the folder of the train stage
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from titer.pipeline.going import Going, Model, named
from titer.pipeline.training.choose import choose_objective, chosen
from titer.pipeline.training.plan import is_planned, plan_training, planned_traces, read_plan
from titer.pipeline.training.train import train_model
from titer.recipe import SAMPLED, Recipe
from titer.records import read_traces


def fine_tune(going: Going, source: str, model: Model, number: int = 1) -> Path:
    """Choose, plan and train on what stage `source` kept (`kept.parquet`), from `model`; the train stage's folder."""
    recipe = going.recipe.model_copy(update={"model": model.name})
    weights, seed = {"model": model.key}, {"seed": recipe.seed}
    going = going._replace(recipe=recipe)
    recipe = _with_objective(going, source, weights, number)
    going = going._replace(recipe=recipe)
    recipe, source = _planned(going, source, weights, number)
    return going.folder.stage(
        named("train", number),
        {"traces": going.folder.key(source), **seed, **weights, "settings": recipe.train.decisive()},
        lambda work: train_model(recipe, *planned_traces(going.folder.path / source), work, progress=going.progress),
        said=going.said,
    )


def _with_objective(going: Going, source: str, weights: dict[str, str], number: int) -> Recipe:
    """The recipe with the objective that `auto` comes to; another one stays."""
    recipe, folder, name = going.recipe, going.folder, named("choose", number)
    if recipe.train.objective != "auto":
        folder.leave_out(name)
        return recipe
    settings = {
        "choose": recipe.choose.model_dump(),
        "train": recipe.train.decisive(),
        "sampling": _sampling_of(recipe),
    }
    found = folder.stage(
        name,
        {**going.known, **weights, "traces": folder.key(source), **settings},
        lambda work: choose_objective(recipe, going.inputs, _kept(going, source), work, going.said),
        said=going.said,
    )
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"objective": chosen(found)})})


def _planned(going: Going, source: str, weights: dict[str, str], number: int) -> tuple[Recipe, str]:
    """The recipe with its budget in updates, and the stage that the traces to train on come from."""
    recipe, folder, name = going.recipe, going.folder, named("plan", number)
    if not is_planned(recipe.train):
        folder.leave_out(name)
        return recipe, source
    trial = {"plan": recipe.plan.model_dump(), "sampling": _sampling_of(recipe), "data": folder.key("data")}
    found = folder.stage(
        name,
        {
            "traces": folder.key(source),
            "seed": recipe.seed,
            **weights,
            **(trial if recipe.train.repetition == "auto" else {}),
            "settings": recipe.train.decisive(),
        },
        lambda work: plan_training(recipe, going.inputs.problems, _kept(going, source), work, going.said),
        said=going.said,
    )
    return recipe.model_copy(update={"train": read_plan(found, recipe.train)}), name


def _kept(going: Going, source: str) -> list[Any]:
    return list(read_traces(going.folder.path / source / "kept.parquet"))


def _sampling_of(recipe: Recipe) -> dict[str, Any]:
    """How a trial's arms are sampled, and by what."""
    how = recipe.evaluate.model_dump(include={*SAMPLED})
    return {**how, "generate": recipe.generate.decisive()}
