"""Short trainings that are compared on held-out problems: the arms of a trial.

held = held_out(inputs.problems, traces, 100, seed=0)
checkpoint = train_arm(recipe.model, samples, settings, seed=0, work=folder)
rollouts = sample_arm(recipe, checkpoint, held, name="p", samples=4, work=folder)
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.evaluate import compare
from titer.models import add_lora, load_model
from titer.pipeline.evaluation.evaluating import evaluation_sampling
from titer.pipeline.sampling import LINES, make_generator
from titer.recipe import Recipe, Train
from titer.records import Problem, Rollout, Trace
from titer.records.results import Difference
from titer.rollouts import collect
from titer.verify import Grader

if TYPE_CHECKING:
    from titer.train import Sample

FEWEST = 6  # problems: on fewer no difference could be told from nothing (`titer.evaluate.compare`)
# what a plan has settled, so that nothing is left to plan
NOTHING_TO_PLAN: dict[str, Any] = {"tokens": None, "hours": None, "repetition": None, "pick": "random"}
ALONE: dict[str, Any] = {**NOTHING_TO_PLAN, "stop": "budget", "probe_samples": 0, "tracker": "none"}


def held_out(problems: Sequence[Problem], traces: Sequence[Trace], most: int, seed: int) -> list[Problem]:
    """Some problems that have traces, at most a quarter of them."""
    known = {trace.problem_id for trace in traces}
    fit = [problem for problem in problems if problem.id in known]
    count = min(most, len(fit) // 4)
    return [fit[i] for i in sorted(np.random.default_rng([seed, 4]).permutation(len(fit))[:count])]


def train_arm(model: str, samples: Sequence[Sample], settings: Train, *, seed: int, work: Path) -> str:
    """The checkpoint of a training of its own on the samples, with `settings.updates`; goes on after a crash."""
    from titer.train import train

    loaded = load_model(model)
    student = add_lora(loaded.model, settings.lora, seed=seed) if settings.lora else loaded.model
    alone = settings.model_copy(update=ALONE)
    return str(train(student, loaded.tokenizer, samples, alone, out=work, seed=seed, progress=False).last)


def sample_arm(
    recipe: Recipe, checkpoint: str, problems: Sequence[Problem], *, name: str, samples: int, work: Path
) -> list[Rollout]:
    """Rollouts of the held-out problems, sampled as the run evaluates."""
    generator = make_generator(checkpoint, recipe.generate, name=name)
    with Grader() as grader:
        return collect(
            generator,
            problems,
            samples=samples,
            sampling=evaluation_sampling(recipe),
            grader=grader,
            out=work / LINES,
            model=name,
            chunk=recipe.generate.chunk,
        )


def change_in_accuracy(one: Sequence[Rollout], other: Sequence[Rollout], *, seed: int) -> Difference:
    """Accuracy of the other minus that of the one, paired over problems."""
    found = compare(one, other, seed=seed)
    return next(d for d in found if d.level == "axis" and d.measure == "accuracy")


def without(traces: Sequence[Trace], held: Collection[Problem]) -> list[Trace]:
    """The traces of other problems."""
    names = {problem.id for problem in held}
    return [trace for trace in traces if trace.problem_id not in names]


def let_go(folders: Collection[Path]) -> None:
    """Remove the arms' models; until all were sampled, they were of use after a crash."""
    for folder in folders:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
