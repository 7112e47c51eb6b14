"""From logits to the loss and the telemetry of each trained token.

scores = score_tokens(logits_NV, targets_N, nll)
scores.loss_N.sum() / tokens_of_the_global_batch
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from titer.objectives.family import Objective


class TokenScores(NamedTuple):
    """Of N trained tokens: the loss (with gradient), log p and whether the target was the likeliest token (without)."""

    loss_N: Tensor
    logp_N: Tensor
    hit_N: Tensor


def score_tokens(logits_NV: Tensor, targets_N: Tensor, objective: Objective) -> TokenScores:
    """Loss and telemetry of N tokens over a vocabulary of V; the softmax is taken in float32."""
    logits_NV = logits_NV.float()
    chosen_N = logits_NV.gather(-1, targets_N[:, None]).squeeze(-1)
    logp_N = chosen_N - torch.logsumexp(logits_NV, dim=-1)
    hit_N = logits_NV.detach().argmax(-1) == targets_N
    return TokenScores(objective(logp_N), logp_N.detach(), hit_N)
