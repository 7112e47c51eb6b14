"""Solve rates with their posterior, and the rule that says which problems get more rollouts."""

from __future__ import annotations

import numpy as np
import pytest

from titer.measure import Edges, Rule, band_shares, solve_rates, still_in_doubt
from titer.measure.bands import Count, Spread, band_chances, fit_spread
from titer.measure.stopping import worth_going_on
from titer.records import Rollout


def rollouts(problem: str, scores: list[float | None]) -> list[Rollout]:
    return [
        Rollout(problem_id=problem, sample=i, model="m", prompt="", reasoning="", response="", finish_reason="stop",
                tokens=1, score=score, parsed="x")
        for i, score in enumerate(scores)
    ]  # fmt: skip


def scores(correct: int, graded: int) -> list[float | None]:
    return [1.0] * correct + [0.0] * (graded - correct)


def test_bands_are_the_papers() -> None:
    rates = {c: solve_rates(rollouts("p", scores(c, 200)))["p"] for c in (0, 40, 60, 140, 160, 200)}
    assert [rates[c].band for c in rates] == ["hard", "hard", "medium", "medium", "simple", "simple"]
    moved = solve_rates(rollouts("p", scores(60, 200)), edges=Edges(0.4, 0.9))["p"]
    assert moved.band == "hard" and moved.surety > 0.99


def test_ungraded_rollouts_never_count_as_wrong() -> None:
    rates = solve_rates(rollouts("p", [1.0, 1.0, 1.0, None, None]) + rollouts("q", [None]))
    assert rates["p"].rho == 1.0 and rates["p"].graded == 3
    assert "q" not in rates


def test_intervals_are_those_of_the_posterior() -> None:
    """0 of 8 from an even spread: Beta(1, 9), whose quantiles are known in closed form."""
    rate = solve_rates(rollouts("p", [0.0] * 8))["p"]
    assert (rate.low, rate.high) == pytest.approx((1 - 0.975 ** (1 / 9), 1 - 0.025 ** (1 / 9)))
    assert rate.band == "hard" and rate.surety == pytest.approx(1 - 0.75**9)
    # and 4 of 4 from Beta(2, 1): Beta(6, 1)
    rate = solve_rates(rollouts("q", [1.0] * 4), spread=Spread(2.0, 1.0))["q"]
    assert (rate.low, rate.high) == pytest.approx((0.025 ** (1 / 6), 0.975 ** (1 / 6)))
    assert (rate.problem_id, rate.correct, rate.graded) == ("q", 4, 4)


def test_a_spread_is_fitted_from_twenty_problems_on() -> None:
    counts = [Count(4 * (i % 2), 4, 4) for i in range(20)]
    assert fit_spread(counts[:19]) == Spread() != fit_spread(counts) and fit_spread([]) == Spread()


def test_the_last_step_ends_at_the_most() -> None:
    drawn = {"p": rollouts("p", scores(2, 4))}
    assert still_in_doubt(drawn, Rule(step=3, most=5, price=0.0)) == {"p": 1}


def test_the_spread_is_fitted_to_all_problems() -> None:
    rng = np.random.default_rng(0)
    counts = [Count(int(rng.binomial(8, rho)), 8, 8) for rho in rng.beta(0.5, 2, size=2000)]
    assert fit_spread(counts) == pytest.approx((0.5, 2), rel=0.15)
    assert fit_spread(counts[:19]) == Spread() == Spread(1, 1)
    assert max(fit_spread([Count(0, 4, 4)] * 50)) <= 20.1  # never so sure that nothing is left to be asked


def test_hard_pools_make_few_wrong_answers_mean_more() -> None:
    hard = [one for i in range(40) for one in rollouts(f"h{i}", scores(0, 4))]
    alone, among = (solve_rates(rollouts("p", scores(0, 4)) + rest)["p"] for rest in ([], hard))
    assert among.surety > alone.surety and among.high < alone.high


def test_one_problem_is_all_of_its_band() -> None:
    assert band_shares(solve_rates(rollouts("p", [1.0] * 200)).values()) == {"simple": 1.0, "medium": 0.0, "hard": 0.0}


def test_bands_have_shares() -> None:
    rates = solve_rates(rollouts("s", [1.0] * 4) + rollouts("m", [1.0, 0.0]) + rollouts("h", [0.0] * 4))
    assert band_shares(rates.values()) == pytest.approx({"simple": 1 / 3, "medium": 1 / 3, "hard": 1 / 3})


def test_only_doubt_is_worth_more_rollouts() -> None:
    worth = worth_going_on(Spread(), Rule(step=2))
    assert not worth[4, 0] or not worth[6, 0]  # surely hard soon
    assert not worth[8, 0] and not worth[8, 8] and not worth[12, 6]  # hard, simple, medium
    assert worth[4, 1] and worth[8, 2] and worth[8, 6]  # on an edge
    assert not worth[32].any()
    free = worth_going_on(Spread(), Rule(price=0.0))
    assert all(free[n, : n + 1].all() for n in range(32)) and not free[32].any()


def test_a_rollout_that_costs_more_is_drawn_less_often() -> None:
    cheap, dear = (worth_going_on(Spread(), Rule(step=1, price=price)) for price in (0.005, 0.02))
    below = np.tril(np.ones_like(cheap))
    assert (cheap & ~dear & below).sum() > 50 and not (dear & ~cheap & below).any()


def test_no_other_rule_gains_more() -> None:
    """Against every threshold on the posterior probability, on the problem that the rule solves: gain less price."""
    rng = np.random.default_rng(1)
    rho = rng.random(4000)
    rule, edges = Rule(first=2, step=1, most=24), [0.25, 0.75]
    draws = rng.random((len(rho), rule.most)) < rho[:, None]
    correct = np.concatenate([np.zeros((len(rho), 1), int), draws.cumsum(1)], axis=1)
    graded = np.arange(rule.most + 1)[None, :]
    chances = band_chances(correct, np.broadcast_to(graded, correct.shape), rule.edges, Spread())
    right = chances.argmax(-1) == np.digitize(rho, edges)[:, None]

    def gain(stops: np.ndarray) -> float:
        stops = stops.copy()
        stops[:, : rule.first], stops[:, -1] = False, True
        at = stops.argmax(1)
        return float((right[np.arange(len(rho)), at] - rule.price * at).mean())

    ours = gain(~worth_going_on(Spread(), rule)[graded, correct])
    thresholds = [gain(chances.max(-1) >= least) for least in np.arange(0.5, 1, 0.025)]
    fixed = [gain(np.broadcast_to(graded == n, correct.shape)) for n in range(2, 25)]
    assert ours > max(thresholds) and ours > max(fixed) + 0.02


def test_rounds_ask_first_of_all_and_then_where_it_matters() -> None:
    rule = Rule(step=2)
    assert still_in_doubt({"p": [], "q": rollouts("q", scores(2, 4))}, rule) == {"p": 4}
    some = {"sure": rollouts("sure", scores(0, 8)), "edge": rollouts("edge", scores(2, 8))}
    assert still_in_doubt(some, rule) == {"edge": 2}
    assert still_in_doubt({"edge": rollouts("edge", scores(8, 31))}, rule) in ({"edge": 1}, {})
    assert still_in_doubt({"edge": rollouts("edge", scores(8, 32))}, rule) == {}
    assert still_in_doubt({"p": rollouts("p", [None] * 32)}, rule) == {}
    assert still_in_doubt({"p": []}, Rule(most=2)) == {"p": 2}
