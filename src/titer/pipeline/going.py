"""What the stages of a run share: its recipe, its folder and its data, the model as it is, and the names of rounds.

going = Going(recipe, folder, load_inputs(folder.path / "data"), print, False)
model = made_by(going, named("train", 2))       # what the second round's training ended with
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.pipeline.data import Inputs
from titer.recipe import Recipe
from titer.rollouts import model_identity
from titer.store import Run
from titer.store.checkpoints import kept_checkpoints


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
    return Model(str(list(checkpoints_of(going.folder.path / stage).values())[-1]), going.folder.key(stage))


def named(stage: str, number: int) -> str:
    """A stage's name in the run directory: those of the first round have none of it."""
    return stage if number == 1 else f"{stage}-{number}"


def checkpoints_of(trained: Path) -> dict[int, Path]:
    """All checkpoints of a training, by update, in order. Raises InputError when it has none."""
    found = kept_checkpoints(trained)
    if not found:
        raise InputError("no checkpoint stands here", file=trained, remedy="remove the folder and run again")
    return found
