"""How often each trace is shown: what `train.repetition: auto` comes to.

found = choose_repetition(pool, settings, model, work=folder, seed=0, plan=Plan())
found.times          # 11.2

Three short trainings, each with a warm-up and a decay of its own: one epoch, REPEATED epochs over fewer traces in as
many updates, and one epoch in half as many. Their token accuracies say after how many epochs the traces will be learned
in the whole budget (`titer.train.length.saturation`); there the paper finds the best number (arXiv 2602.11149). Where
there are held-out problems, both arms of equal updates are sampled on them, and where repetition is worse, it is left
alone: in titer's lab new traces can beat repeated ones. The arms' traces are drawn at random, whatever `pick` says.
Where updates or traces are too few for a trial, or token accuracy does not rise in it, FEW epochs are taken: the least
that was best for one of the paper's models; and never more than MANY, beyond which none of them gained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from titer.models import load_model
from titer.pipeline.sampling import Said
from titer.pipeline.training.pick import Pool, at_random
from titer.pipeline.training.trial import FEWEST, change_in_accuracy, let_go, sample_arm, train_arm, without
from titer.recipe import Plan, Recipe, Train
from titer.records import Problem
from titer.records.results import Difference

if TYPE_CHECKING:
    from titer.train import Probe, Sample

REPEATED = 8
FEW, MANY = 8.0, 32.0
FEWEST_UPDATES = 20  # of an arm: after fewer, token accuracy says how a format is learned, and nothing of repetition
PROBED = 100  # traces of an arm on which its token accuracy is measured
ARMS = {"once": (1, 1.0), "repeated": (REPEATED, 1.0), "shorter": (1, 0.5)}  # epochs, share of an arm's updates


class Held(NamedTuple):
    """What the arms are compared on: held-out problems, sampled as the recipe evaluates."""

    recipe: Recipe
    problems: list[Problem]


class Repetition(NamedTuple):
    """How often each trace is shown, the rule that says so, and what it was measured from."""

    times: float
    rule: str
    evidence: dict[str, Any]


def choose_repetition(
    pool: Pool,
    settings: Train,
    model: str,
    *,
    work: Path,
    seed: int,
    plan: Plan,
    held: Held | None = None,
    said: Said = lambda _: None,
) -> Repetition:
    """The rule above, for a budget of `settings.updates`. An interrupted trial goes on in `work`."""
    budget = settings.updates or 0
    updates = int(plan.share * budget / sum(share for _, share in ARMS.values()))
    problems = held.problems if held and len(held.problems) >= FEWEST else []
    order = _trained_on(pool, problems, seed)
    if updates < FEWEST_UPDATES or updates * settings.batch_size > len(order):
        what = f"{plan.share:.0%} of {budget} updates" if updates < FEWEST_UPDATES else f"{len(order)} traces"
        return Repetition(FEW, f"{what} are too few for a trial: {FEW:g}, the least that was best in the paper", {})
    checkpoints, probes = {}, []
    for name, (epochs, share) in ARMS.items():
        said(f"plan: a trial of {epochs} epochs" + (" in half the updates" if share < 1 else ""))
        arm = settings.model_copy(update={"updates": round(share * updates)})
        samples = _samples(pool, order, arm, epochs)
        checkpoints[name] = train_arm(model, samples, arm, seed=seed, work=work / name)
        probes.append(_probe(checkpoints[name], samples, arm))
    change = _compared(held, checkpoints, work, said) if held and problems else None
    let_go([work / name for name in ARMS])
    return decide(probes, change, budget=budget, seed=seed)


def decide(probes: Sequence[Probe], change: Difference | None, *, budget: int, seed: int) -> Repetition:
    """What the arms say. `change` is the accuracy of the repeated arm minus that of the other, None: not compared."""
    from titer.train import epochs_to_saturation

    epochs, rise = epochs_to_saturation(probes, updates=budget, seed=seed)
    spent = sum(probe.updates for probe in probes)
    evidence: dict[str, Any] = {
        "the trial": f"{spent} updates in three arms, {spent / budget:.1%} of the budget",
        **{
            f"token accuracy, {probe.updates} updates of {probe.epochs:.3g} epochs": round(probe.token_accuracy, 4)
            for probe in probes
        },
        "epochs until the traces are learned": f"{epochs.mid:.1f} [{epochs.low:.1f}, {epochs.high:.1f}]",
    }
    if change is not None:
        low, mid, high = change.change
        evidence[f"accuracy of {REPEATED} epochs − 1 in it"] = f"{mid:+.3f} [{low:+.3f}, {high:+.3f}]"
        if change.better == "worse":
            rule = "in the trial repeated traces were below new ones, and the interval excludes zero"
            return Repetition(1.0, rule, evidence)
    if rise.low <= 0:
        rule = f"token accuracy did not surely rise with epochs: {FEW:g}, the least that was best in the paper"
        return Repetition(FEW, rule, evidence)
    if epochs.mid > MANY:
        rule = f"token accuracy would be at 98 % later (fitted; ours): {MANY:g}, beyond which the paper gains nothing"
        return Repetition(MANY, rule, evidence)
    return Repetition(epochs.mid, "so many epochs until token accuracy is at 98 % (fitted; ours)", evidence)


def _trained_on(pool: Pool, held: Sequence[Problem], seed: int) -> list[int]:
    """The places of the traces that no held-out problem has, in the order in which subsets take them."""
    left = {trace.id for trace in without(pool.traces, held)}
    return [place for place in at_random(len(pool.traces), seed) if pool.traces[place].id in left]


def _samples(pool: Pool, order: Sequence[int], arm: Train, epochs: float) -> list[Sample]:
    count = max(arm.batch_size, round((arm.updates or 0) * arm.batch_size / epochs))
    return [pool.samples[place] for place in order[:count]]


def _probe(checkpoint: str, samples: Sequence[Sample], arm: Train) -> Probe:
    """Token accuracy of a trained arm on some of its own traces."""
    from titer.train import Probe, token_stats

    loaded, updates = load_model(checkpoint), arm.updates or 0
    stats = token_stats(loaded.model, loaded.tokenizer, samples[:PROBED])
    hits_S2 = np.array([[one.hit_N.sum(), len(one.hit_N)] for one in stats])
    return Probe(updates, updates * arm.batch_size / len(samples), hits_S2)


def _compared(held: Held, checkpoints: dict[str, str], work: Path, said: Said) -> Difference:
    rollouts = []
    for name in ("once", "repeated"):
        said(f"plan: sampling {name}")
        rollouts.append(
            sample_arm(
                held.recipe,
                checkpoints[name],
                held.problems,
                name=name,
                samples=held.recipe.plan.samples,
                work=work / name,
            )
        )
    return change_in_accuracy(*rollouts, seed=held.recipe.seed)
