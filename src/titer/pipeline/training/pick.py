"""Which traces are repeated: any, or those that the base finds hard.

picked = pick(pool, 64, "hard", seed=0)          # 64 traces and the loss of each
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from titer.models import Loaded
from titer.records import Trace

if TYPE_CHECKING:
    from titer.train import Sample

NOISE = 0.05  # of the traces, those of the highest loss, are not picked as hard ones (ours: these may be broken)
HOW = {
    "random": "at random",
    "hard": f"hardest for the base first, domains in turn, the {NOISE:.0%} of the highest loss last (ours)",
}


class Pool(NamedTuple):
    """What can be trained on: each trace, its sample, and the base model."""

    traces: list[Trace]
    samples: list[Sample]
    loaded: Loaded


class Picked(NamedTuple):
    """The traces that are repeated, in their old order, and the base's mean −log p by trace where it was asked for."""

    traces: list[Trace]
    losses: dict[str, float]


def pick(pool: Pool, count: int, how: Literal["random", "hard"], *, seed: int) -> Picked:
    """So many of the traces, all of them where these are fewer."""
    losses = losses_of(pool) if how == "hard" else {}
    order = hard_first(pool.traces, losses) if losses else at_random(len(pool.traces), seed)
    return Picked([pool.traces[i] for i in sorted(order[:count])], losses)


def at_random(count: int, seed: int) -> list[int]:
    """The places of some traces in one random order, of which every number takes the first ones: nested subsets."""
    return [int(i) for i in np.random.default_rng([seed, 5]).permutation(count)]


def losses_of(pool: Pool) -> dict[str, float]:
    """The base's mean −log p of a trained token, in nats, by trace."""
    from titer.pipeline.training.prior import token_sums

    sums = token_sums(pool.loaded.model, pool.loaded.tokenizer, pool.samples, pool.traces)
    return {one.trace_id: one.nll / one.tokens for one in sums}


def hard_first(traces: Sequence[Trace], losses: dict[str, float]) -> list[int]:
    """The places of the traces: highest loss first, a domain at a time, the NOISE highest at the end."""
    ranked = sorted(range(len(traces)), key=lambda place: (-losses[traces[place].id], place))
    noisy = round(NOISE * len(ranked))
    by_domain: dict[str, list[int]] = defaultdict(list)
    for place in ranked[noisy:]:
        by_domain[traces[place].domain].append(place)
    in_turn = [place for row in zip_longest(*by_domain.values()) for place in row if place is not None]
    return list(chain(in_turn, ranked[:noisy]))
