"""How a model's loss spreads over the tokens of traces, without training on them.

losses = token_losses(model, tokenizer, samples)       # −log p of every trained token, an array a sample
profile(losses[0])["near_zero_share"]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from titer.objectives import objective
from titer.train.batches import micro_batches, to_device
from titer.train.encode import Sample
from titer.train.scorer import Scorer

NEAR_ZERO = 0.01  # nats: tokens that teach nothing
TAIL = 0.1  # share of the tokens that are called the tail

PROFILE = {
    "token_nll": "mean −log p of the trace's tokens under the model, in nats",
    "near_zero_share": f"share of tokens with −log p below {NEAR_ZERO}",
    "tail_share": f"share of the loss that the {TAIL:.0%} hardest tokens hold",
}


@torch.no_grad()
def token_losses(
    model: Any, tokenizer: Any, samples: Sequence[Sample], *, micro_tokens: int = 8192
) -> Iterator[NDArray[np.float64]]:
    """−log p of every trained token of each sample, in order, (tokens,). The model is put in evaluation mode."""
    f, pad, scorer = objective("nll"), tokenizer.pad_token_id or 0, Scorer(model)
    model.eval()
    for sample in samples:
        (micro,) = micro_batches([sample], tokens=max(micro_tokens, len(sample.ids)), packing=False, pad=pad)
        scores = scorer(to_device(micro, model.device), f)
        yield -scores.logp_N.double().cpu().numpy()


def profile(loss_N: NDArray[np.float64]) -> dict[str, float]:
    """The figures of PROFILE for one sample's token losses, as arXiv 2604.01702 looks at them; thresholds ours."""
    hardest = np.sort(loss_N)[::-1][: max(1, round(TAIL * len(loss_N)))]
    total = float(loss_N.sum())
    return {
        "token_nll": float(loss_N.mean()),
        "near_zero_share": float((loss_N < NEAR_ZERO).mean()),
        "tail_share": float(hardest.sum()) / total if total > 0 else 0.0,
    }
