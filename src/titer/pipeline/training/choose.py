"""Which objective this model and these traces get: by the base's prior, and a short trial where that cannot say.

choose_objective(recipe, inputs, traces, work, said)       # prior.parquet, choice.json, trial/
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.errors import InputError
from titer.measure import Choice, Prior, after_trial, choose, priors
from titer.models import context_length, load_model
from titer.pipeline.data import Inputs
from titer.pipeline.decisions import write_decisions
from titer.pipeline.sampling import Said
from titer.pipeline.training.trial import FEWEST, change_in_accuracy, held_out, let_go, sample_arm, train_arm, without
from titer.recipe import Recipe
from titer.records import Decision, Problem, Trace
from titer.records.results import Difference
from titer.store import read_json, write_json, write_table

if TYPE_CHECKING:
    from titer.train import Sample


def check_objective(spec: str, *, field: str = "train.objective") -> None:
    """Refuse an objective that cannot be read, before anything is computed. Raises InputError."""
    from titer.objectives import canonical, objective, quantiles

    if field == "choose.candidate" and canonical(spec) in ("auto", "nll"):
        raise InputError(f"{spec} against nll is no trial", field=field, remedy="name another objective, such as p")
    if spec != "auto":
        cuts = quantiles(spec)
        objective(spec, {cut: (i + 1) / (len(cuts) + 1) for i, cut in enumerate(cuts)})


def choose_objective(recipe: Recipe, inputs: Inputs, traces: Sequence[Trace], work: Path, said: Said) -> None:
    """Measure the base's prior on some of the kept traces, and decide; the objective goes into `choice.json`."""
    found = measure_prior(recipe, traces, work)
    candidate = recipe.choose.candidate
    choice = choose(found["all"], strong=recipe.choose.strong, weak=recipe.choose.weak, candidate=candidate)
    difference = None
    if choice.objective is None:
        held = held_out(inputs.problems, traces, recipe.choose.problems, recipe.seed)
        if not recipe.choose.updates or len(held) < FEWEST:
            why = f"{len(held)} problems are too few for a trial" if recipe.choose.updates else "no trial was asked for"
            choice = Choice("nll", f"{choice.rule}; {why}: −log p")
        else:
            difference = trial(recipe, held, traces, work / "trial", said)
            choice = after_trial(difference.better, candidate=candidate)
    write_json(work / "choice.json", {"objective": choice.objective, "rule": choice.rule})
    write_decisions(work, [_decision(recipe, choice, found, difference)])


def chosen(folder: Path) -> str:
    """The objective that stands in a finished choice."""
    return read_json(folder / "choice.json", lambda row: str(row["objective"]))


def measure_prior(recipe: Recipe, traces: Sequence[Trace], work: Path) -> dict[str, Prior]:
    """The base's prior on a random part of the traces, overall, by domain and by teacher."""
    from titer.pipeline.training.prior import sums_of_some

    sums = sums_of_some(
        load_model(recipe.model),
        traces,
        most=recipe.choose.traces,
        max_length=recipe.train.max_length,
        seed=recipe.seed,
        dropped=[],
    )
    write_table(work / "prior.parquet", [one._asdict() for one in sums])
    return priors(sums, seed=recipe.seed)


def trial(recipe: Recipe, held: Sequence[Problem], traces: Sequence[Trace], work: Path, said: Said) -> Difference:
    """Accuracy of the candidate minus that of −log p after the same few updates on the same traces.

    It is that on held-out problems: training problems whose traces neither arm sees. Evaluation problems are never
    touched.
    """
    from titer.train import encode_all

    loaded, rest = load_model(recipe.model), without(traces, held)
    longest = context_length(recipe.train.max_length, loaded.model)
    samples = encode_all(rest, loaded.tokenizer, max_length=longest, too_long=recipe.train.too_long, dropped=[])
    folders = {"nll": work / "nll", recipe.choose.candidate: work / "candidate"}
    rollouts = []
    for arm, folder in folders.items():
        said(f"choose: a trial of {arm}")
        changes = {"objective": arm, "updates": trial_updates(recipe, samples)}
        settings = recipe.train.model_copy(update=changes)
        checkpoint = train_arm(recipe.model, samples, settings, seed=recipe.seed, work=folder)
        rollouts.append(sample_arm(recipe, checkpoint, held, name=arm, samples=recipe.choose.samples, work=folder))
    let_go(folders.values())
    return change_in_accuracy(*rollouts, seed=recipe.seed)


def trial_updates(recipe: Recipe, samples: Sequence[Sample]) -> int:
    """Updates of each arm: as many as asked, but no more than the run itself makes, where that is known by now."""
    from titer.train import in_updates

    if recipe.train.hours:
        return recipe.choose.updates
    return min(recipe.choose.updates, in_updates(recipe.train, samples).updates or 0)


def _decision(recipe: Recipe, choice: Choice, found: dict[str, Prior], difference: Difference | None) -> Decision:
    evidence: dict[str, Any] = {
        f"mean p, {name}": f"{prior.mean_p.mid:.3f} [{prior.mean_p.low:.3f}, {prior.mean_p.high:.3f}]"
        for name, prior in found.items()
    }
    every = found["all"]
    evidence |= {
        "tokens with p above .55": f"{every.likely.mid:.1%}",
        "entropy, nats a token": round(every.entropy.mid, 3),
        "traces measured": every.traces,
    }
    if difference:
        low, mid, high = difference.change
        evidence["the trial"] = (
            f"{recipe.choose.updates} updates an arm, at most the run's own, then {recipe.choose.samples} rollouts of "
            f"at most {recipe.choose.problems} held-out problems"
        )
        evidence[f"accuracy of {recipe.choose.candidate} − nll in it"] = f"{mid:+.3f} [{low:+.3f}, {high:+.3f}]"
    return Decision(
        stage="choose",
        question="With which objective?",
        choice=str(choice.objective),
        rule=f"{choice.rule} (cut-offs ours; arXiv 2510.00526 gives none)",
        evidence=evidence,
        setting="train.objective",
    )
