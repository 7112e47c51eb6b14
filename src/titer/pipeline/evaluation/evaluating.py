"""The evaluation of a run's checkpoints: every suite, or, between base and last, what a budget of tokens allows.

evaluate_models(recipe, suites, {"base": "lab", "trained": checkpoint}, work, said)      # rollouts.parquet
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from titer.evaluate.allocate import Part, allocate, resolution, tokens_of
from titer.generate.protocol import Sampling
from titer.pipeline.data import Suite
from titer.pipeline.decisions import write_decisions
from titer.pipeline.evaluation.forgetting import gauge, refuse_other_tokenizers
from titer.pipeline.evaluation.judging import halves_of
from titer.pipeline.evaluation.pace import PACE, budget, note_pace
from titer.pipeline.evaluation.thinking import thinking_of
from titer.pipeline.sampling import Said, make_generator, progress_lines
from titer.recipe import SAMPLED, Evaluate, Recipe
from titer.records import Decision, Problem, Rollout, holds_any, read_rollouts, write_records
from titer.rollouts import collect, model_identity
from titer.store import write_json
from titer.verify import Grader


class Lot(NamedTuple):
    """Problems of a suite that are asked so often each, by a name of their own."""

    suite: Suite
    name: str
    problems: Sequence[Problem]
    samples: int


def evaluation_sampling(recipe: Recipe) -> Sampling:
    """How checkpoints are sampled where a suite says nothing else, the trial's arms too."""
    return sampling_by(recipe.evaluate, recipe.seed)


def settings_of(recipe: Recipe, suite: str) -> Evaluate:
    """The evaluation's settings with what a suite of files has of its own."""
    own = recipe.data.suites.get(suite)
    given = own.model_dump(include={"samples", *SAMPLED}, exclude_none=True) if own else {}
    return recipe.evaluate.model_copy(update=given)


def passing_of(recipe: Recipe) -> list[str]:
    """The suites of which it counts whether any rollout of a problem is right."""
    return [name for name, suite in recipe.data.suites.items() if suite.aggregate == "pass"]


def sampling_by(settings: Evaluate, seed: int) -> Sampling:
    """How an evaluation with these settings samples."""
    return Sampling(temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_tokens, seed=seed)


def evaluate_models(
    recipe: Recipe, suites: Sequence[Suite], checkpoints: Mapping[str, str], work: Path, said: Said
) -> None:
    """Sample and grade every suite with every model (`checkpoints`: name in the tables → what to load).

    The lines of each model stay in a folder of its name, which nobody needs once the stage is finished.

    The first is the base. With a budget those between it and the last are asked a part of the problems, which
    `parts.json` then holds.
    """
    first, *_, last = checkpoints
    refuse_other_tokenizers(checkpoints, checkpoints[first])
    whole = [Lot(suite, suite.name, suite.problems, settings_of(recipe, suite.name).samples) for suite in suites]
    rollouts: list[Rollout] = []
    lots, decisions = whole, list[Decision]()
    with Grader() as grader:
        for name, model in checkpoints.items():
            asked = whole if name in (first, last) else lots
            pace = work / PACE if name == first else None
            rollouts += _answers(recipe, name, model, asked, work, grader, said, pace=pace)
            if name != first or len(checkpoints) < 3:
                continue
            if recipe.evaluate.minutes and not (work / PACE).exists():
                # A kill fell between the last answer and its time. The answers stay what they are.
                with TemporaryDirectory() as again:
                    _answers(recipe, name, model, whole[:1], Path(again), grader, said, pace=pace)
            if tokens := budget(recipe.evaluate, work / PACE):
                parts = _shared_out(recipe, whole, rollouts, tokens)
                write_json(work / "parts.json", [part._asdict() for part in parts])
                decisions.append(_spent(parts, sum(rollout.tokens for rollout in rollouts)))
                lots = lots_of(parts, suites)
    write_records(work / "rollouts.parquet", rollouts)
    decisions += thinking_of(rollouts, halves_of(suites), (first, last))
    decisions += gauge(recipe, checkpoints, rollouts, suites, work)
    write_decisions(work, decisions)


def _answers(
    recipe: Recipe,
    name: str,
    model: str,
    lots: Sequence[Lot],
    work: Path,
    grader: Grader,
    said: Said,
    *,
    pace: Path | None,
) -> list[Rollout]:
    """What a checkpoint answers to the lots; the time that the fresh ones of them took is noted in `pace`."""
    generator, identity = make_generator(model, recipe.generate, name=name), model_identity(model)
    rollouts: list[Rollout] = []
    for lot in lots:
        out = _lines_of(work, name, lot)
        begun, there = time.monotonic(), held_in(out)
        drawn = collect(
            generator,
            lot.problems,
            samples=lot.samples,
            sampling=sampling_by(settings_of(recipe, lot.suite.name), recipe.seed),
            grader=grader,
            out=out,
            model=identity,
            suite=lot.suite.name,
            axis=lot.suite.axis,
            chunk=recipe.generate.chunk,
            said=progress_lines(said, f"evaluate {name} on {lot.name}"),
        )
        rollouts += drawn
        if pace:
            note_pace(pace, drawn[there:], time.monotonic() - begun)
    return rollouts


def _lines_of(work: Path, name: str, lot: Lot) -> Path:
    """Where a checkpoint's answers to a lot are written as they come."""
    return work / name / f"{lot.name}.jsonl"


def _shared_out(recipe: Recipe, whole: Sequence[Lot], base: Sequence[Rollout], tokens: int) -> list[Part]:
    """How a checkpoint's tokens are shared out over the suites, from what the base answered."""
    return allocate(
        base,
        tokens=tokens,
        samples={lot.name: lot.samples for lot in whole},
        halves=halves_of([lot.suite for lot in whole]),
        passing=passing_of(recipe),
        seed=recipe.seed,
    )


def held_in(file: Path) -> int:
    """How many rollouts a file holds."""
    return sum(1 for _ in read_rollouts(file, torn="drop")) if holds_any(file) else 0


def lots_of(parts: Sequence[Part], suites: Sequence[Suite]) -> list[Lot]:
    """What checkpoints in between are asked."""
    by_name = {suite.name: suite for suite in suites}
    asked = {suite.name: {problem.id: problem for problem in suite.problems} for suite in suites}
    return [
        Lot(
            by_name[part.suite],
            f"{part.suite}.{part.stratum}",
            [asked[part.suite][name] for name in part.problems],
            part.samples,
        )
        for part in parts
    ]


def _spent(parts: Sequence[Part], everything: int) -> Decision:
    """What a budget of tokens is spent on, and what that resolves."""
    halves = resolution(parts).items()
    return Decision(
        stage="evaluate",
        question="What is asked at the checkpoints in between?",
        choice=f"about {tokens_of(parts):,} tokens each, for {everything:,} that all problems take",
        rule="problems in proportion to their spread at the base, over the root of their cost (Neyman 1934; ours)",
        evidence={
            **{f"half an interval, {axis.replace('_', '-')}": f"{100 * half:.1f} points" for axis, half in halves},
            **{
                f"{part.suite}, {part.stratum}": f"{len(part.problems)} of {part.of} × {part.samples}" for part in parts
            },
        },
        setting="evaluate.tokens, evaluate.minutes",
    )
