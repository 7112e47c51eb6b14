"""The token probabilities that a model gives to traces before it is trained on them.

priors(list(token_sums(model, tokenizer, samples, traces)))["all"].mean_p
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from titer.measure.prior import LIKELY, TokenSums
from titer.objectives import objective
from titer.records import Trace
from titer.train.batches import micro_batches, to_device
from titer.train.encode import Sample
from titer.train.scorer import Scorer


@torch.no_grad()
def token_sums(
    model: Any, tokenizer: Any, samples: Sequence[Sample], traces: Sequence[Trace], *, micro_tokens: int = 8192
) -> Iterator[TokenSums]:
    """Sums over the trained tokens of each sample, in order. `traces` are searched for the samples' ids."""
    by_id = {trace.id: trace for trace in traces}
    f, pad, scorer = objective("nll"), tokenizer.pad_token_id or 0, Scorer(model)
    model.eval()
    for sample in samples:
        (micro,) = micro_batches([sample], tokens=max(micro_tokens, len(sample.ids)), packing=False, pad=pad)
        scores = scorer(to_device(micro, model.device), f)
        p_N = scores.logp_N.double().exp()
        trace = by_id[sample.trace_id]
        yield TokenSums(
            sample.trace_id,
            trace.domain,
            trace.teacher,
            sample.trained,
            float(p_N.sum()),
            int((p_N > LIKELY).sum()),
            float(scores.entropy_N.double().sum()),
            float(-scores.logp_N.double().sum()),
        )
