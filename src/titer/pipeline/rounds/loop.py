"""Rounds of SFT, RL and critique inside a run (arXiv 2606.04466; when to stop, and what is kept, is ours).

model = run_rounds(going, "curate", base_of(recipe))       # the model that is kept

A round measures the model as it is, routes the problems, bridges hard traces, fine-tunes, does RL on the middle band,
takes apart what RL never solved, and is judged on training problems that no round sees. The next one begins with what
this one has made. Rounds end when one no longer gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from titer.pipeline.fine_tune import Going, Model, fine_tune, made_by, named
from titer.pipeline.measuring import measure_base
from titer.pipeline.rounds.judging import FIRST, judge_round, sample_held
from titer.pipeline.rounds.lesson import ledger_of, lesson
from titer.pipeline.rounds.reinforce import reinforce, take_apart
from titer.records import Problem, read_traces
from titer.stages import gaps

STAGES = ("measure", "lesson", "choose", "plan", "train", "rl", "critique", "judge")


class Split(NamedTuple):
    """Training problems that rounds learn from, and those that they are compared on."""

    taught: list[Problem]
    held: list[Problem]


def run_rounds(going: Going, curated: str, base: Model) -> Model:
    """Run the rounds on the traces that stage `curated` kept; the model to go on with.

    That is the last one that was kept, or, where none gained, the last one made.
    """
    settings = going.recipe.stages
    taught, held = split_problems(going.inputs.problems, settings.held, going.recipe.seed)
    going = going._replace(inputs=going.inputs._replace(problems=taught))
    kept, model, before = base, base, sample_held(going, FIRST, base, held)
    for number in range(1, settings.rounds + 1):
        model = run_round(going, curated, model, number)
        judged = judge_round(going, held, model, before, number)
        if judged.narrowed:
            going.said(f"round {number}: pass@1 rose while pass@{settings.samples} fell")
        if not judged.kept:
            break
        kept, before = model, named("judge", number)
    return kept if kept != base else model


def run_round(going: Going, curated: str, model: Model, number: int) -> Model:
    """One round; the model that it ends with."""
    settings = going.recipe.stages
    measure_round(going, model, number)
    for gap in gaps(ledger_of(going, number)):
        going.said(f"round {number}: {gap}")
    learned = lesson(going, curated, model, number)
    if any(True for _ in read_traces(learned / "kept.parquet")):
        fine_tune(going, learned.name, model, number)
        model = made_by(going, named("train", number))
    else:
        going.said(f"round {number}: no trace to fine-tune on")
    if settings.rl:
        model = reinforce(going, model, number)
    if settings.rl and settings.critique and number < settings.rounds:
        take_apart(going, curated, model, number)
    return model


def measure_round(going: Going, model: Model, number: int) -> None:
    """Solve rates of the model as it is, and where each problem goes."""
    recipe = going.recipe.model_copy(update={"model": model.name})
    going.folder.stage(
        named("measure", number),
        {
            **going.known,
            "model": model.key,
            "settings": recipe.measure.model_dump(),
            "route": recipe.route.model_dump(),
            "generate": recipe.generate.model_dump(),
            "held": recipe.stages.held,
        },
        lambda work: measure_base(recipe, going.inputs, work, going.said),
        said=going.said,
    )


def split_problems(problems: Sequence[Problem], most: int, seed: int) -> Split:
    """At most `most` problems, and at most a quarter, are held out at random."""
    count = min(most, len(problems) // 4)
    chosen = {int(i) for i in np.random.default_rng([seed, 8]).permutation(len(problems))[:count]}
    return Split(
        [problem for i, problem in enumerate(problems) if i not in chosen],
        [problem for i, problem in enumerate(problems) if i in chosen],
    )


def leave_out_rounds(going: Going) -> None:
    """Remove what a recipe with more rounds, or with any, has left."""
    rounds = going.recipe.stages.rounds
    for name in list(going.folder.manifest["stages"]):
        stage, _, number = name.rpartition("-")
        later = number.isdigit() and stage in STAGES and int(number) > rounds
        if later or (not rounds and name in (FIRST, "lesson", "rl", "critique", "judge")):
            going.folder.leave_out(name)
