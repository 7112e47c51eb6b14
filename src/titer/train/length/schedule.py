"""The learning rate, and the updates after which checkpoints are kept.

rate(step=5, updates=100, peak=1e-4, warmup=0.1, schedule="cosine")
log_grid(300)      # [0, 10, 20, 40, 80, 160, 300]
"""

from __future__ import annotations

import math


def rate(
    *, step: int, updates: int, peak: float, warmup: float, schedule: str = "cosine", cooldown: float = 0.1
) -> float:
    """The learning rate of update `step` (from 0) of `updates`: linear warm-up, then cosine to zero, or constant
    and a linear end.

    Cosine with 10 % warm-up is what arXiv 2604.06628 and 2602.11149 used.
    """
    rising = math.ceil(warmup * updates - 1e-9)  # .07 × 100 is a little more than 7
    if step < rising:
        return peak * (step + 1) / rising
    left = updates - step  # ≥ 1; the rate after the last update would be zero
    if schedule == "constant":
        return peak * min(1.0, left / max(1.0, cooldown * updates))
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / (updates - rising)))


def log_grid(updates: int) -> list[int]:
    """Updates after which a checkpoint is kept: 0, 10, 20, 40, 80, … and the last (after arXiv 2604.06628)."""
    grid = [0]
    step = 10
    while step < updates:
        grid.append(step)
        step *= 2
    return [*grid, updates]
