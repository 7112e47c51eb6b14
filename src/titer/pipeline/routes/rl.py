"""RL inside a run: the model is loaded, trained on problems, and what came of it is read back.

done = train_rl("lab", problems, recipe.rl, out=work, seed=0)
done.trained.checkpoint, done.last_reward
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from titer.models import Loaded, add_lora, load_model
from titer.recipe import Rl
from titer.records import Problem
from titer.rollouts import model_identity
from titer.stages.rl import Trained, grpo, read_groups
from titer.store import TRAINING_AGAIN, read_lines


class RlRun(NamedTuple):
    """The training, its mean reward by update, and the share of groups with nothing to compare."""

    trained: Trained
    rewards: list[float]
    dead: float

    @property
    def first_reward(self) -> float:
        """Mean reward over the first tenth of the updates."""
        return _mean(tenths(self.rewards)[0])

    @property
    def last_reward(self) -> float:
        """The same over the last tenth."""
        return _mean(tenths(self.rewards)[1])


def tenths(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """The first and the last tenth of what updates logged, at least one of them."""
    tenth = max(1, len(values) // 10)
    return values[:tenth], values[-tenth:]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def train_rl(
    model: str, problems: Sequence[Problem], settings: Rl, *, out: Path, seed: int, progress: bool = False
) -> RlRun:
    """Train a model by GRPO in `out`; goes on there after a crash. Raises InputError as `grpo` does."""
    loaded = load_model(model)
    if settings.lora:
        loaded = Loaded(add_lora(loaded.model, settings.lora, seed=seed), loaded.tokenizer)
    trained = grpo(
        loaded,
        problems,
        settings,
        out=out,
        seed=seed,
        identity=model_identity(model),
        reference=model,
        progress=progress,
    )
    groups = read_groups(out / "groups.jsonl")
    rewards = [row["reward"] for row in read_lines(out / "log.jsonl", remedy=TRAINING_AGAIN) if "reward" in row]
    return RlRun(trained, rewards or [0.0], sum(not group.live for group in groups) / max(1, len(groups)))
