"""How far a tuned model is from its base: KL(tuned ‖ base) on what it says to problems of the new task.

    found = divergence_of({"trained": checkpoint}, "lab", rollouts, most=64, seed=0)
    found["trained"].mid            # nats a token

A cheap gauge of forgetting: it needs no suite outside the domain, and one pass of each model over some completions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from titer.errors import InputError
from titer.evaluate.metrics import RESAMPLES
from titer.models import Described, Loaded, describe_model, load_model
from titer.pipeline.data import Suite
from titer.recipe import Recipe
from titer.records import Decision, Rollout, Trace, kept_turns
from titer.records.results import Interval
from titer.store import write_json

NO_TURNS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType({})


def gauge(
    recipe: Recipe,
    checkpoints: Mapping[str, str],
    rollouts: Sequence[Rollout],
    suites: Sequence[Suite],
    work: Path,
) -> list[Decision]:
    """How far each checkpoint is from the base, in kl.json and as a statement for the report."""
    base, *others = checkpoints
    found = (
        divergence_of(
            {name: checkpoints[name] for name in others},
            checkpoints[base],
            rollouts,
            most=recipe.evaluate.kl,
            seed=recipe.seed,
            turns={(suite.name, problem.id): kept_turns(problem) for suite in suites for problem in suite.problems},
        )
        if recipe.evaluate.kl
        else {}
    )
    if not found:
        return []
    write_json(work / "kl.json", {name: list(one) for name, one in found.items()})
    *_, last = checkpoints
    if last not in found:  # an earlier checkpoint's would be taken for the model's
        return []
    decision = Decision(
        stage="evaluate",
        question="How far is the model from its base?",
        choice=f"{found[last].mid:.3f} nats a token on the new task",
        rule="KL(tuned ‖ base) on its own completions in domain: a gauge of forgetting that needs no other suite",
        evidence={name: "{1:.3f} [{0:.3f}, {2:.3f}]".format(*one) for name, one in found.items()},
        setting="evaluate.kl",
    )
    return [decision]


def divergence_of(
    models: Mapping[str, str],
    base: str,
    rollouts: Sequence[Rollout],
    *,
    most: int,
    seed: int,
    turns: Mapping[tuple[str, str], Mapping[str, Any]] = NO_TURNS,
) -> dict[str, Interval]:
    """Of each model (name in the tables → what to load) the KL a token, in nats, with a 95 % interval.

    It is measured on at most `most` of the model's completions in domain that ended by themselves, all of different
    problems; the interval is a bootstrap over them. At every token it is exact, the sum over the vocabulary; the texts
    are as the evaluation draws them, at its temperature, behind the messages that `turns` has for some problems (by
    suite and id, as `kept_turns` gives them). A model without such completions is left out. Raises InputError for a
    model with another tokenizer than the base's.
    """
    reference = load_model(base)
    found: dict[str, Interval] = {}
    for name, place in models.items():
        traces = _completions(rollouts, name, most, seed, turns)
        if traces:
            tuned = load_model(place)
            refuse_other_tokenizer(reference, tuned, place)
            found[name] = _divergence(tuned, reference, traces, seed)
    return found


def refuse_other_tokenizers(models: Mapping[str, str], base: str) -> None:
    """Raises InputError for a model that reads text otherwise than the base, before anything is drawn."""
    reference = describe_model(base)
    for place in dict.fromkeys(models.values()):
        refuse_other_tokenizer(reference, describe_model(place), place)


def refuse_other_tokenizer(base: Loaded | Described, tuned: Loaded | Described, place: str) -> None:
    """Raises InputError where the two read text differently: their scores and distributions are not to be compared."""
    if base.tokenizer.get_vocab() != tuned.tokenizer.get_vocab():
        raise InputError(
            "the tokenizer is not the base's", file=place, remedy="evaluate a checkpoint of this base, or name its base"
        )


def _completions(
    rollouts: Sequence[Rollout], model: str, most: int, seed: int, turns: Mapping[tuple[str, str], Mapping[str, Any]]
) -> list[Trace]:
    """The first completion of some problems, as traces."""
    first: dict[str, Rollout] = {}
    for row in rollouts:
        if row.model == model and row.axis == "in_domain" and row.finish_reason == "stop" and row.response.strip():
            first.setdefault(row.problem_id, row)
    rows = list(first.values())
    chosen = sorted(np.random.default_rng([seed, 11]).permutation(len(rows))[:most].tolist())
    return [
        Trace(
            id=row.id,
            problem_id=row.problem_id,
            prompt=row.prompt,
            reasoning=row.reasoning,
            response=row.response,
            meta=turns.get((row.suite, row.problem_id), {}),
        )
        for row in (rows[i] for i in chosen)
    ]


def _divergence(tuned: Loaded, base: Loaded, traces: Sequence[Trace], seed: int) -> Interval:
    from titer.train import encode, token_divergences

    samples = [encode(trace, tuned.tokenizer) for trace in traces]
    found = token_divergences(tuned.model, base.model, tuned.tokenizer, samples)
    sums_S2 = np.array([[float(kl_N.sum()), len(kl_N)] for kl_N in found])
    drawn = np.random.default_rng([seed, 12]).integers(len(sums_S2), size=(RESAMPLES // 10, len(sums_S2)))
    draws = sums_S2[drawn].sum(axis=1)
    low, high = np.quantile(draws[:, 0] / draws[:, 1], [0.025, 0.975])
    total, tokens = sums_S2.sum(axis=0)
    return Interval(float(low), float(total / tokens), float(high))
