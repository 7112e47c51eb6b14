"""Where the gradient goes: which probabilities the trained tokens have, and what they weigh, update by update.

    telemetry = Telemetry(kinds=6, device=device)
    telemetry.add(scores, batch.kinds_N)
    telemetry.reduced(accelerator, tokens)["p_histogram"]      # (kinds + 1) × BINS counts, the last row unlabelled

All of it is sums over numbers that the head has anyway.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from titer.objectives import Scores

BINS = 20  # of p, between 0 and 1


class Telemetry:
    """Sums over the tokens of one update, on the device until `reduced`."""

    def __init__(self, kinds: int, device: torch.device) -> None:
        """`kinds` is the number of kinds of steps; tokens without one are counted apart."""
        self.rows = kinds + 1
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)  # f, −log p, hits, w
        self.entropy = torch.zeros((), dtype=torch.float64, device=device)
        self.counts, self.pulls = torch.zeros(2, self.rows * BINS, dtype=torch.float64, device=device).unbind()

    def add(self, scores: Scores, kinds_N: Tensor) -> None:
        """The tokens of one micro-batch."""
        p_N = scores.logp_N.exp()
        named_N = (kinds_N >= 0) & (kinds_N < self.rows - 1)
        row_N = torch.where(named_N, kinds_N, self.rows - 1)
        place_N = row_N * BINS + (p_N * BINS).long().clamp(0, BINS - 1)
        self.counts += torch.bincount(place_N, minlength=len(self.counts))
        self.pulls += torch.bincount(place_N, scores.weight_N.double() * (1 - p_N), minlength=len(self.pulls))
        parts = (scores.value_N, -scores.logp_N, scores.hit_N, scores.weight_N)
        self.sums += torch.stack([part.double().sum() for part in parts])
        self.entropy += scores.entropy_N.double().sum()

    def reduced(self, accelerator: Any, tokens: int) -> dict[str, Any]:
        """The update's figures over all processes, for the log.

        Means over trained tokens of f, −log p, hits and entropy; `effective_tokens` is Σw; `p_histogram` counts tokens
        and `pull_histogram` adds up w·(1 − p), the pull on the target's logit, by kind of step and by p, both flat.
        """
        every = torch.cat([self.sums, self.entropy[None], self.counts, self.pulls])
        found = accelerator.reduce(every, "sum").tolist()
        loss, mean_nll, hits, weight, entropy = found[:5]
        counts, pulls = found[5 : 5 + len(self.counts)], found[5 + len(self.counts) :]
        return {
            "loss": loss / tokens,
            "nll": mean_nll / tokens,
            "token_accuracy": hits / tokens,
            "entropy": entropy / tokens,
            "effective_tokens": weight,
            "p_histogram": [round(count) for count in counts],
            "pull_histogram": [round(pull, 3) for pull in pulls],
        }
