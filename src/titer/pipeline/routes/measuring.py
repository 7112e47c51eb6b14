"""What the base model can already do: its solve rates on training problems, by sequential sampling.

measure_stage(going, base_of(recipe))     # measure/rollouts.parquet, measure/solve_rates.parquet
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from titer.errors import InputError
from titer.generate.protocol import Generator, Sampling
from titer.measure import Edges, Rule, SolveRate, band_shares, solve_rates, still_in_doubt
from titer.pipeline.data import Inputs
from titer.pipeline.decisions import write_decisions
from titer.pipeline.going import Going, Model, named
from titer.pipeline.routes.rates import write_rates
from titer.pipeline.sampling import LINES, SPENT, Said, make_generator, progress_lines
from titer.recipe import Measure, Recipe
from titer.records import Decision, Problem, Rollout, write_records
from titer.rollouts import Progress, collect_in_rounds, model_identity
from titer.verify import Grader


def sample_rates(
    generator: Generator,
    problems: Sequence[Problem],
    settings: Measure,
    *,
    out: Path,
    model: str,
    chunk: int,
    seed: int,
    said: Callable[[Progress], None],
) -> tuple[list[Rollout], dict[str, SolveRate]]:
    """Rollouts, most of them where a band is in doubt, and the solve rate of every problem that could be graded."""
    edges = Edges(settings.medium, settings.simple)
    rule = Rule(settings.first, settings.step, settings.samples, settings.price, edges)
    sampling = Sampling(temperature=settings.temperature, top_p=1.0, max_tokens=settings.max_tokens, seed=seed)
    with Grader() as grader:
        rollouts = collect_in_rounds(
            generator,
            problems,
            more=lambda taken: still_in_doubt(taken, rule),
            sampling=sampling,
            grader=grader,
            out=out,
            model=model,
            chunk=chunk,
            said=said,
        )
    return rollouts, solve_rates(rollouts, edges=edges)


def measure_stage(going: Going, model: Model, number: int = 1, also: Mapping[str, Any] = MappingProxyType({})) -> None:
    """The stage with the solve rates of a round's model, which depends on what `also` says beside the rest."""
    recipe = going.recipe.model_copy(update={"model": model.name})
    going.folder.stage(
        named("measure", number),
        {
            **going.known,
            "model": model.key,
            "settings": recipe.measure.model_dump(),
            "generate": recipe.generate.decisive(),
            **also,
        },
        lambda work: measure_base(recipe, going.inputs, work, going.said),
        spent=SPENT,
        said=going.said,
    )


def measure_base(recipe: Recipe, inputs: Inputs, work: Path, said: Said) -> None:
    """Sample the base model on training problems: solve rates and bands."""
    problems = _subset(inputs.problems, recipe.measure.problems, recipe.seed)
    rollouts, rates = sample_rates(
        make_generator(recipe.model, recipe.generate, name="base"),
        problems,
        recipe.measure,
        out=work / LINES,
        model=model_identity(recipe.model),
        chunk=recipe.generate.chunk,
        seed=recipe.seed,
        said=progress_lines(said, "measure"),
    )
    if not rates:
        raise InputError("no rollout could be graded", field="measure", remedy="look at the verifier of the problems")
    write_records(work / "rollouts.parquet", rollouts)
    write_rates(work / "solve_rates.parquet", rates, problems)
    write_decisions(work, [_decision(recipe.measure, rollouts, rates)])


def _decision(settings: Measure, rollouts: Sequence[Rollout], rates: dict[str, SolveRate]) -> Decision:
    found = list(rates.values())
    return Decision(
        stage="measure",
        question="What can the base model already do?",
        choice=", ".join(f"{share:.0%} {band}" for band, share in band_shares(found).items()),
        rule=f"simple: solve rate from {settings.simple:g}, medium: from {settings.medium:g}, hard: below "
        "(arXiv 2606.04466); the most probable band, sampled while a rollout is worth its price (ours)",
        evidence={
            "problems": len(found),
            "rollouts": len(rollouts),
            "rollouts of a problem": f"{len(rollouts) / len(found):.1f}, at most {settings.samples}",
            "mean solve rate": round(float(np.mean([rate.rho for rate in found])), 4),
            "mean probability of the band": round(float(np.mean([rate.surety for rate in found])), 3),
        },
        setting="measure",
    )


def _subset(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    chosen = np.random.default_rng([seed, 2]).permutation(len(problems))[:count]
    return [problems[i] for i in sorted(chosen)]
