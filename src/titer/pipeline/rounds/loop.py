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

from titer.errors import InputError
from titer.pipeline.going import Going, Model, made_by, named
from titer.pipeline.rounds.judging import FIRST, judge_round, sample_held
from titer.pipeline.rounds.lesson import lesson, lesson_traces
from titer.pipeline.rounds.outcome import write_outcome
from titer.pipeline.rounds.reinforce import reinforce, take_apart
from titer.pipeline.routes.measuring import measure_stage
from titer.pipeline.routes.routing import route_measured
from titer.pipeline.training.fine_tune import fine_tune
from titer.recipe import Recipe
from titer.records import Problem
from titer.stages import gaps
from titer.stages.rl import require_trl
from titer.stages.rl.vllm import check_engine

STAGES = ("measure", "route", "lesson", "choose", "plan", "train", "rl", "critique", "judge", "ledger")
ALSO_WITHOUT = ("measure", "route", "choose", "plan", "train")  # what a run without rounds has too
FEWEST = 4  # problems: a quarter is held out


class Split(NamedTuple):
    """Training problems that rounds learn from, and those that they are compared on."""

    taught: list[Problem]
    held: list[Problem]


def check_rounds(recipe: Recipe) -> None:
    """Raises InputError for settings that rounds cannot be done with."""
    if not recipe.stages.rounds:
        return
    if not recipe.measure.problems:
        raise InputError(
            "0, and rounds go by solve rates", field="measure.problems", remedy="give some, or stages.rounds=0"
        )
    if recipe.evaluate.checkpoints == "grid":
        raise InputError("grid, and rounds", field="evaluate.checkpoints", remedy="use last, or stages.rounds=0")
    if recipe.stages.rl:
        require_trl()  # now, not when the stages before it have been computed
        check_engine(recipe.rl)


def run_rounds(going: Going, curated: str, base: Model) -> Model:
    """Run the rounds on the traces that stage `curated` kept; the model to go on with.

    That is the last one that was kept, or, where none gained, the last one made: what is evaluated is what was trained.
    Raises InputError where there are too few problems to hold any out.
    """
    settings = going.recipe.stages
    taught, held = split_problems(going.inputs.problems, settings.held, going.recipe.seed)
    if not held:
        raise InputError(
            f"{len(taught)} training problems, of which rounds hold a quarter out",
            field="stages.rounds",
            remedy=f"give at least {FEWEST}",
        )
    going = going._replace(inputs=going.inputs._replace(problems=taught))
    kept, model, before = base, base, sample_held(going, FIRST, base, held)
    for number in range(1, settings.rounds + 1):
        model = run_round(going, curated, model, number)
        judged = judge_round(going, held, model, before, number)
        if judged.narrowed:
            going.said(f"round {number}: pass@1 rose while pass@{judged.k} fell")
        if not judged.kept:
            leave_out_rounds(going, after=number)  # of a call with other settings, which went on
            break
        kept, before = model, named("judge", number)
    return kept if kept != base else model


def run_round(going: Going, curated: str, model: Model, number: int) -> Model:
    """One round; the model that it ends with."""
    settings = going.recipe.stages
    measure_stage(going, model, number, {"held": settings.held})
    for gap in gaps(route_measured(going, number)):
        going.said(f"round {number}: {gap}")
    learned = lesson(going, curated, model, number)
    if lesson_traces(learned):
        fine_tune(going, learned.name, model, number)
        model = made_by(going, named("train", number))
    else:
        going.said(f"round {number}: no trace to fine-tune on")
        for stage in ("choose", "plan", "train"):
            going.folder.leave_out(named(stage, number))
    if settings.rl:
        model = reinforce(going, model, number)
    else:
        going.folder.leave_out(named("rl", number))
    if settings.rl and settings.critique:
        take_apart(going, curated, model, number)
    else:
        going.folder.leave_out(named("critique", number))
    write_outcome(going, number)
    return model


def split_problems(problems: Sequence[Problem], most: int, seed: int) -> Split:
    """At most `most` problems, and at most a quarter, are held out at random."""
    count = min(most, len(problems) // 4)
    chosen = {int(i) for i in np.random.default_rng([seed, 8]).permutation(len(problems))[:count]}
    return Split(
        [problem for i, problem in enumerate(problems) if i not in chosen],
        [problem for i, problem in enumerate(problems) if i in chosen],
    )


def leave_out_rounds(going: Going, after: int | None = None) -> None:
    """Remove what rounds after the one named have left (by default after the recipe's last one)."""
    rounds = going.recipe.stages.rounds if after is None else after
    for name in list(going.folder.manifest["stages"]):
        stage, _, number = name.rpartition("-")
        later = number.isdigit() and stage in STAGES and int(number) > rounds
        if later or (not rounds and name in {FIRST, *STAGES} - {*ALSO_WITHOUT}):
            going.folder.leave_out(name)
