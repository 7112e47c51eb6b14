"""Where each problem belongs, by what the base model makes of it.

ledger = route(rates)      # {"p1": Destination("p1", "rl", "medium: ρ = 0.50 [0.25, 0.75] of 16")}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from titer.measure import Band, SolveRate

Place = Literal["mastered", "sft and rl", "bridge"]
PLACES: dict[Band, Place] = {"simple": "mastered", "medium": "sft and rl", "hard": "bridge"}


class Destination(NamedTuple):
    """Where a problem goes and why."""

    problem_id: str
    place: Place
    reason: str


def route(rates: Mapping[str, SolveRate]) -> dict[str, Destination]:
    """The allocation of arXiv 2606.04466: simple is mastered, medium to SFT and RL, hard to the bridge."""
    return {
        problem_id: Destination(
            problem_id,
            PLACES[rate.band],
            f"{rate.band}: ρ = {rate.rho:.2f} [{rate.low:.2f}, {rate.high:.2f}] of {rate.graded}",
        )
        for problem_id, rate in rates.items()
    }
