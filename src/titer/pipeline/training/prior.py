"""The token probabilities that a model gives to traces before it is trained on them.

priors(token_sums(model, tokenizer, samples, traces))["all"].mean_p
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from titer.measure.prior import LIKELY, TokenSums
from titer.records import Trace
from titer.train.tokens.encode import Sample
from titer.train.tokens.token_loss import SampleStats, token_stats


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
