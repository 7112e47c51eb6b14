"""SFT inside a run: objective, plan and training, on the traces of an earlier stage.

trained = fine_tune(going, "curate", base_of(recipe))       # the folder of the train stage
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.pipeline.data import Inputs
from titer.pipeline.training.choose import choose_objective, chosen
from titer.pipeline.training.plan import is_planned, plan_training, read_plan, traces_of
from titer.pipeline.training.train import train_model
from titer.recipe import Recipe
from titer.records import read_traces
from titer.rollouts import model_identity
from titer.store import Run


class Going(NamedTuple):
    """What all stages of a run share."""

    recipe: Recipe
    folder: Run
    inputs: Inputs
    said: Callable[[str], None]
    progress: bool

    @property
    def known(self) -> dict[str, Any]:
        """What every stage that samples or trains depends on beside its own inputs."""
        return {"data": self.folder.key("data"), "seed": self.recipe.seed}


class Model(NamedTuple):
    """What to load, and what says which weights these are: their hash, or the key of the stage that made them."""

    name: str
    key: str


def base_of(recipe: Recipe) -> Model:
    """The recipe's model. Raises InputError when it cannot be found."""
    return Model(recipe.model, model_identity(recipe.model))


def made_by(going: Going, stage: str) -> Model:
    """The last checkpoint of a stage. Raises InputError when it has none."""
    return Model(str(checkpoints_of(going.folder.path / stage)[-1]), going.folder.key(stage))


def named(stage: str, number: int) -> str:
    """A stage's name in the run directory: those of the first round have none of it."""
    return stage if number == 1 else f"{stage}-{number}"


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
        lambda work: train_model(recipe, *traces_of(going.folder.path / source), work, progress=going.progress),
        said=going.said,
    )


def checkpoints_of(trained: Path) -> list[Path]:
    """All checkpoints of a training, in order. Raises InputError when it has none."""
    found = sorted((trained / "checkpoints").glob("step-*"))
    if not found:
        raise InputError("no checkpoint stands here", file=trained, remedy="remove the folder and run again")
    return found


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
    how = recipe.evaluate.model_dump(include={"temperature", "top_p", "max_tokens"})
    return {**how, "generate": recipe.generate.decisive()}
