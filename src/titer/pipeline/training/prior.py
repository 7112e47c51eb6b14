"""The token probabilities that a model gives to traces before it is trained on them.

priors(sums_of_some(loaded, traces, most=256, max_length=None, seed=0, dropped=[]))["all"].mean_p
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from titer.errors import InputError
from titer.measure.prior import LIKELY, TokenSums
from titer.models import Loaded, context_length
from titer.records import Trace
from titer.train.tokens.encode import Sample, encode_all
from titer.train.tokens.token_loss import SampleStats, token_stats

Row = TypeVar("Row")


def some_of(rows: Sequence[Row], most: int, seed: int) -> list[Row]:
    """At most `most` of the rows, drawn at random, in their order."""
    return [rows[i] for i in sorted(np.random.default_rng([seed, 3]).permutation(len(rows))[:most])]


def sums_of_some(
    loaded: Loaded,
    traces: Sequence[Trace],
    *,
    most: int,
    max_length: int | None,
    seed: int,
    dropped: list[InputError],
) -> list[TokenSums]:
    """The sums of at most `most` of the traces, drawn at random. Those beyond the context go to `dropped`.

    Raises InputError as `encode_all` and `token_sums` do.
    """
    some = some_of(traces, most, seed)
    longest = context_length(max_length, loaded.model)
    samples = encode_all(some, loaded.tokenizer, max_length=longest, too_long="drop", dropped=dropped)
    return token_sums(loaded.model, loaded.tokenizer, samples, some)


def token_sums(model: Any, tokenizer: Any, samples: Sequence[Sample], traces: Sequence[Trace]) -> list[TokenSums]:
    """Sums over the trained tokens of each sample, in order. `traces` are searched for the samples' ids.

    Raises InputError as `titer.train.tokens.token_loss.token_stats` does.
    """
    by_id = {trace.id: trace for trace in traces}
    stats = token_stats(model, tokenizer, samples)
    return [_sums(by_id[sample.trace_id], one) for sample, one in zip(samples, stats, strict=True)]


def _sums(trace: Trace, stats: SampleStats) -> TokenSums:
    p_N = np.exp(stats.logp_N)
    return TokenSums(
        trace.id,
        trace.domain,
        trace.teacher,
        len(p_N),
        float(p_N.sum()),
        int((p_N > LIKELY).sum()),
        float(stats.entropy_N.sum()),
        float(-stats.logp_N.sum()),
    )
