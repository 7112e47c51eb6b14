"""How often each trace is shown: a budget of updates becomes few traces and many epochs (arXiv 2602.11149).

repeat_traces(recipe, traces, work)          # repeated.parquet, decisions.json
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from titer.errors import InputError
from titer.models import Loaded, load_model
from titer.pipeline.decisions import write_decisions
from titer.pipeline.stages import context_length
from titer.recipe import Recipe, Train
from titer.records import Decision, Trace, write_records
from titer.store import write_table

NOISE = 0.05  # of the traces, those of the highest loss, are not picked as hard ones (ours: these may be broken)


class Picked(NamedTuple):
    """The traces that are repeated, in their old order, and the base's mean −log p by trace where it was asked for."""

    traces: list[Trace]
    losses: dict[str, float]


def repeat_traces(recipe: Recipe, traces: Sequence[Trace], work: Path) -> None:
    """Write the traces that are shown `train.repetition` times within `train.updates`; all, where these are fewer."""
    loaded = load_model(recipe.model) if recipe.train.pick == "hard" else None
    picked = pick_traces(traces, recipe.train, loaded, recipe.seed)
    write_records(work / "repeated.parquet", picked.traces)
    if picked.losses:
        rows = [{"trace_id": name, "nll": loss} for name, loss in picked.losses.items()]
        write_table(work / "losses.parquet", rows)
    write_decisions(work, [_decision(recipe.train, len(traces), len(picked.traces))])


def pick_traces(traces: Sequence[Trace], settings: Train, loaded: Loaded | None, seed: int) -> Picked:
    """As many traces as `settings` say. `loaded` is the base, for hard ones. Raises InputError (`unique_traces`)."""
    wanted = unique_traces(settings)
    losses = losses_of(traces, settings, loaded) if loaded else {}
    scored = [(losses[trace.id], trace.domain, i) for i, trace in enumerate(traces) if trace.id in losses]
    order = spread(scored) if loaded else at_random(len(traces), seed)
    return Picked([traces[i] for i in sorted(order[:wanted])], losses)


def unique_traces(settings: Train) -> int:
    """How many traces fill the budget when each is shown so often. Raises InputError when they fill no update."""
    updates, size, times = settings.updates or 0, settings.batch_size, settings.repetition or 1
    count = round(updates * size / times)
    if count < size:
        raise InputError(
            f"{updates} updates of {size} traces, each shown {times:g} times, are {count} different traces: fewer than "
            "one update takes",
            field="train.repetition",
            remedy="raise train.updates, or lower it",
        )
    return count


def at_random(count: int, seed: int) -> list[int]:
    """The places of some traces in one random order, of which every number takes the first ones: nested subsets."""
    return [int(i) for i in np.random.default_rng([seed, 5]).permutation(count)]


def losses_of(traces: Sequence[Trace], settings: Train, loaded: Loaded) -> dict[str, float]:
    """The base's mean −log p of a trained token, in nats, by trace; those too long to train on have none."""
    from titer.pipeline.prior import token_sums
    from titer.train import encode_all

    longest = context_length(settings.max_length, loaded.model)
    samples = encode_all(
        traces, loaded.tokenizer, max_length=longest, too_long=settings.too_long, dropped=list[InputError]()
    )
    sums = token_sums(loaded.model, loaded.tokenizer, samples, traces)
    return {one.trace_id: one.nll / one.tokens for one in sums}


def spread(scored: Sequence[tuple[float, str, int]]) -> list[int]:
    """The places of (loss, domain, place): highest loss first, a domain at a time, the NOISE highest at the end."""
    ranked = sorted(scored, key=lambda one: (-one[0], one[2]))
    noisy = round(NOISE * len(ranked))
    by_domain: dict[str, list[int]] = defaultdict(list)
    for _, domain, place in ranked[noisy:]:
        by_domain[domain].append(place)
    in_turn = [place for row in zip_longest(*by_domain.values()) for place in row if place is not None]
    return list(chain(in_turn, (place for _, _, place in ranked[:noisy])))


def _decision(settings: Train, available: int, chosen: int) -> Decision:
    shown = (settings.updates or 0) * settings.batch_size
    evidence: dict[str, Any] = {
        "traces kept": available,
        "shown in all": shown,
        "times each, as it comes out": round(shown / chosen, 2),
    }
    return Decision(
        stage="repeat",
        question="How many traces, how often?",
        choice=f"{chosen} traces, each {shown / chosen:g} times",
        rule=f"train.repetition {settings.repetition:g} in {settings.updates} updates, picked {HOW[settings.pick]}",
        evidence=evidence,
        setting="train.repetition",
    )


HOW = {
    "random": "at random",
    "hard": f"hardest for the base first, domains in turn, the {NOISE:.0%} of the highest loss last (ours)",
}
