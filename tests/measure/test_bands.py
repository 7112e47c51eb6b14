from __future__ import annotations

import pytest

from titer.measure import band_of, band_shares, solve_rates
from titer.records import Rollout
from titer.stages import route


def rollouts(problem: str, scores: list[float | None]) -> list[Rollout]:
    return [
        Rollout(problem_id=problem, sample=i, model="m", prompt="", reasoning="", response="", finish_reason="stop",
                tokens=1, score=score, parsed="x")
        for i, score in enumerate(scores)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rho", "band"),
    [(0.0, "hard"), (0.249, "hard"), (0.25, "medium"), (0.749, "medium"), (0.75, "simple"), (1.0, "simple")],
)
def test_bands_are_the_papers(rho: float, band: str) -> None:
    assert band_of(rho) == band


def test_ungraded_rollouts_never_count_as_wrong() -> None:
    rates = solve_rates(rollouts("p", [1.0, 1.0, 1.0, None, None]) + rollouts("q", [None]))
    assert rates["p"].rho == 1.0 and rates["p"].graded == 3
    assert "q" not in rates


def test_intervals_are_clopper_pearson() -> None:
    """0 of 8 leaves ρ up to .369 two-sided; the one-sided bound is the finding's .31."""
    rate = solve_rates(rollouts("p", [0.0] * 8))["p"]
    assert rate.low == 0.0 and rate.high == pytest.approx(1 - 0.025 ** (1 / 8))
    half = solve_rates(rollouts("p", [1.0, 0.0] * 8))["p"]
    assert (half.low, half.high) == pytest.approx((0.2465, 0.7535), abs=1e-4)


def test_routes_follow_the_bands() -> None:
    rates = solve_rates(rollouts("s", [1.0] * 4) + rollouts("m", [1.0, 0.0]) + rollouts("h", [0.0] * 4))
    ledger = route(rates)
    assert [ledger[p].place for p in "smh"] == ["mastered", "sft and rl", "bridge"]
    assert ledger["m"].reason.startswith("medium: ρ = 0.50")
    assert band_shares(rates.values()) == pytest.approx({"simple": 1 / 3, "medium": 1 / 3, "hard": 1 / 3})
