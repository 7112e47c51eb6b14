"""One arm of the reproduction of finding B: a long training, followed on four axes over the grid of checkpoints.

measures = run_arm("verified", 0, Settings(), folder)
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from titer.dynamics import AxisCurves, judge
from titer.dynamics.curve import Floats
from titer.pipeline.curating import rehearse
from titer.pipeline.data import Suite
from titer.pipeline.evaluation.judging import axis_curves, halves_of
from titer.recipe import Evaluate, Train
from titer.records import Rollout, Trace, read_rollouts
from titer.reproduce.bases import base_of, teach
from titer.reproduce.experiment import Measures
from titer.reproduce.findings.arms import evaluate, fine_tune
from titer.store.checkpoints import kept_checkpoints

if TYPE_CHECKING:
    from titer.lab.tasks import Item

WEAK = "weak-base"
ARMS = ("verified", "corrupted", "weak", "without-thinking", "rehearsal")
EARLY = (10, 20, 40)
"""Checkpoints at which the paper's curves are in their dip."""
SUITES = {
    "countdown3": 100, "countdown4": 60, "ordered": 60, "subset": 60,
    "sort": 40, "reverse": 40, "compare": 40, "guarded": 100,
}  # fmt: skip
NEARLY = 0.9  # share of the gain in domain that an earlier checkpoint must have


class Settings(NamedTuple):
    """How large the experiment is."""

    problems: int = 160
    """Training problems of each of the two tasks."""
    branch_rate: float = 0.25
    """Chance of a dead branch before a step: long traces, which the lab's model can still learn."""
    updates: int = 160
    """Updates of the training."""
    batch_size: int = 16
    """Traces in one update: with the above eight epochs, as in the paper."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    rehearsal: float = 0.1
    """Share of the training that rehearses, in the arm that does."""
    weak_updates: int = 250
    """Updates of pre-training that make the weak base; the lab's has 1450."""
    share: float = 0.3
    """Of the evaluation problems."""
    samples: int = 2
    """Rollouts of each evaluation problem at each checkpoint."""
    max_tokens: int = 256
    """Longest rollout."""
    model: str = "lab"
    """`lab`, or a pretrained model that is taught the lab's tasks first."""
    teaching: int = 0
    """Updates of that."""


SCALES = {
    "smollm2": {"model": "smollm2", "teaching": 300, "weak_updates": 50, "learning_rate": 1e-4, "max_tokens": 420}
}


def prepare_weak(settings: Settings, folder: Path) -> Measures:
    """Pre-train the weak base into `folder/model`: the same mixture, a sixth of the updates."""
    return teach(settings.model, settings.weak_updates, folder)


def run_arm(name: str, seed: int, settings: Settings, folder: Path) -> Measures:
    """Train as the arm says, evaluate every checkpoint of the grid, and read the curves."""
    model = str(folder.parent / WEAK / "model") if name == "weak" else base_of(settings, folder.parent)
    traces = lesson(name, seed, settings)
    how = Train(
        objective="nll",
        updates=settings.updates,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        micro_tokens=2048,
        probe_samples=0,
        save_seconds=600,
    )
    fine_tune(model, traces, how, seed=seed, folder=folder)
    kept = kept_checkpoints(folder / "sft")
    checkpoints = {0: model, **{step: str(path) for step, path in kept.items()}}
    suites = suites_of(seed, settings)
    rollouts = {step: sample(path, suites, seed, settings, folder / f"at-{step}") for step, path in checkpoints.items()}
    return measures_of(axis_curves(rollouts, halves_of(suites)))


def lesson(name: str, seed: int, settings: Settings) -> list[Trace]:
    """The traces of an arm."""
    from titer.lab.tasks import items
    from titer.lab.teachers import explain

    tasks = ("countdown3", "countdown4")
    made = [item for task in tasks for item in items(task, settings.problems, seed=seed, held=False)]
    traces = [explain(item, teacher="divergent", seed=seed, branch_rate=settings.branch_rate) for item in made]
    if name == "corrupted":
        return [corrupt(item, trace, seed) for item, trace in zip(made, traces, strict=True)]
    if name == "without-thinking":
        return [replace(trace, reasoning="") for trace in traces]
    if name == "rehearsal":
        return [*traces, *rehearse(safe_answers(len(traces), seed), settings.rehearsal, len(traces), seed)]
    return traces


def corrupt(item: Item, trace: Trace, seed: int) -> Trace:
    """The trace with every other result wrong, and an answer that was derived at random."""
    from titer.lab.arithmetic import derive, expression, near

    rng = random.Random(f"corrupt:{seed}:{trace.id}")

    def wrong(found: re.Match[str]) -> str:
        result = int(found[1])
        others = [n for n in near(result) if n != result]
        return f"= {rng.choice(others)}" if rng.random() < 0.5 else found[0]

    reasoning = re.sub(r"= (\d+)", wrong, trace.reasoning)
    steps = derive(rng, list(item.problem.meta["numbers"]))
    return replace(trace, reasoning=reasoning, response=f"Answer: {expression(steps)}", correct=False)


def safe_answers(count: int, seed: int) -> list[Trace]:
    """What the base says to requests that are to be refused, and to their look-alikes."""
    from titer.lab.make import make_lab
    from titer.recipe import LabData

    return make_lab(LabData(problems={}, suites={}, rehearsal={"guarded": count}), seed).rehearsal


def suites_of(seed: int, settings: Settings) -> list[Suite]:
    """Held-out problems on four axes."""
    from titer.lab.tasks import TASKS, items

    return [
        Suite(task, TASKS[task].axis, [item.problem for item in items(task, size, seed=seed, held=True)])
        for task, size in ((task, max(2, round(settings.share * count))) for task, count in SUITES.items())
    ]


def sample(model: str, suites: Sequence[Suite], seed: int, settings: Settings, folder: Path) -> list[Rollout]:
    """The model's rollouts on all suites. Every checkpoint gets the same seeds."""
    how = Evaluate(samples=settings.samples, temperature=0.6, top_p=0.95, max_tokens=settings.max_tokens)
    evaluate(model, {suite.name: suite.problems for suite in suites}, how, seed=seed, folder=folder)
    rollouts = [
        replace(rollout, axis=suite.axis)
        for suite in suites
        for rollout in read_rollouts(folder / "eval" / f"{suite.name}.rollouts.jsonl")
    ]
    shutil.rmtree(folder / "suites")
    return rollouts


def measures_of(axes: Mapping[str, AxisCurves]) -> Measures:
    """Numbers of each axis: accuracy at the base, and how far from it at the early checkpoints, early and last."""
    found: Measures = {}
    judgement = judge(axes)
    verdicts = {verdict.axis: verdict for verdict in judgement.axes}
    earlier = earlier_checkpoint(axes["in_domain"].accuracy.mean_T)
    for axis, curves in axes.items():
        change_T = curves.accuracy.mean_T - curves.accuracy.mean_T[0]
        early = [place for place, step in enumerate(curves.accuracy.steps) if step in EARLY]
        length_T = curves.tokens.mean_T / curves.tokens.mean_T[0] if curves.tokens else np.ones(len(change_T))
        ended_T = curves.terminated.mean_T if curves.terminated else np.ones(len(change_T))
        found |= {
            f"{axis}_base": float(curves.accuracy.mean_T[0]),
            f"{axis}_early": float(change_T[early].mean()),
            f"{axis}_last": float(change_T[-1]),
            f"{axis}_rise": float(change_T[-1] - change_T[early].mean()),
            f"{axis}_earlier": float(change_T[earlier] - change_T[-1]),
            f"{axis}_surge": float(length_T[early].mean() - 1),
            f"{axis}_ended_early": float(ended_T[early].mean()),
            f"{axis}_ended_last": float(ended_T[-1]),
            **{
                f"{axis}_{label}": float(verdicts[axis].label == label)
                for label in ("dipping", "recovered", "degraded")
            },
            **{f"{axis}_at_{step}": float(change_T[i]) for i, step in enumerate(curves.accuracy.steps) if step},
        }
    found["earlier_update"] = float(axes["in_domain"].accuracy.steps[earlier])
    found["paid"] = float(bool(judgement.cost))
    return found


def earlier_checkpoint(mean_T: Floats) -> int:
    """The first checkpoint that has most of the gain in domain; the last one where nothing is gained."""
    gain = mean_T[-1] - mean_T[0]
    enough = [place for place in range(1, len(mean_T)) if mean_T[place] - mean_T[0] >= NEARLY * gain]
    return enough[0] if gain > 0 and enough else len(mean_T) - 1
