"""A budget of tokens: what is asked, what it resolves, and that the curves do not mind."""

from __future__ import annotations

import numpy as np
import pytest

from titer.dynamics import curve_of_rates
from titer.evaluate.allocate import FEWEST, allocate, resolution, tokens_of
from titer.records import Rollout


def base(rates: list[float], *, samples: int = 4, suite: str = "s", tokens: int = 10) -> list[Rollout]:
    return [
        Rollout(
            problem_id=f"p{i}", sample=k, model="base", prompt="?", reasoning="", response="1", finish_reason="stop",
            tokens=tokens, score=float(k < round(rate * samples)), parsed="1", suite=suite, axis="in_domain",
        )
        for i, rate in enumerate(rates) for k in range(samples)
    ]  # fmt: skip


RATES = [1.0] * 60 + [0.5] * 40 + [0.0] * 60


def test_open_problems_are_asked_first() -> None:
    parts = {part.stratum: part for part in allocate(base(RATES), tokens=600, samples={"s": 4}, seed=0)}
    assert {name: part.of for name, part in parts.items()} == {"always": 60, "open": 40, "never": 60}
    share = {name: len(part.problems) / part.of for name, part in parts.items()}
    assert share["open"] > 1.3 * share["always"] and share["open"] > 1.3 * share["never"]
    assert 0.9 * 600 < tokens_of(list(parts.values())) <= 600


def test_no_part_is_empty_and_none_is_asked_more_than_wanted() -> None:
    tiny = allocate(base(RATES), tokens=1, samples={"s": 4}, seed=0)
    assert all(len(part.problems) == FEWEST and part.samples == 1 for part in tiny)
    rich = allocate(base(RATES), tokens=10**9, samples={"s": 4}, seed=0)
    assert all(len(part.problems) == part.of and part.samples == 4 for part in rich)


def test_every_problem_is_in_one_part_and_the_seed_draws_it() -> None:
    parts = allocate(base(RATES), tokens=500, samples={"s": 2}, seed=0)
    names = [name for part in parts for name in (*part.problems, *part.others)]
    assert sorted(names) == sorted(f"p{i}" for i in range(160))
    assert parts == allocate(base(RATES), tokens=500, samples={"s": 2}, seed=0)
    assert parts != allocate(base(RATES), tokens=500, samples={"s": 2}, seed=1)


def test_more_tokens_resolve_more() -> None:
    few, many = (
        resolution(allocate(base(RATES), tokens=t, samples={"s": 4}, seed=0))["in_domain"] for t in (300, 3000)
    )
    assert many < few / 1.5


def test_small_strata_are_joined() -> None:
    (part,) = allocate(base([1.0] * 3 + [0.5] * 20 + [0.0] * 5), tokens=100, samples={"s": 1}, seed=0)
    assert (part.stratum, part.of) == ("open", 28)


def test_a_small_open_stratum_goes_to_another() -> None:
    parts = allocate(base([1.0] * 30 + [0.5] + [0.0] * 30), tokens=300, samples={"s": 4}, seed=0)
    assert {part.stratum: part.of for part in parts} in ({"always": 31, "never": 30}, {"always": 30, "never": 31})


def test_parts_lie_within_halves_and_each_suite_has_its_own_most() -> None:
    halves = {("s", f"p{i}"): "refuse" if i % 2 else "answer" for i in range(160)}
    rollouts = [*base(RATES), *base(RATES, suite="t")]
    parts = allocate(rollouts, tokens=10**9, samples={"s": 1, "t": 3}, halves=halves, seed=0)
    assert {part.stratum for part in parts if part.suite == "s"} == {
        f"{half}-{kind}" for half in ("refuse", "answer") for kind in ("always", "open", "never")
    }
    assert {part.samples for part in parts if part.suite == "s"} == {1}
    assert {part.samples for part in parts if part.suite == "t"} == {3}


def test_one_problem_of_a_group_does_not_make_all_unknown() -> None:
    rng = np.random.default_rng(0)
    rates_PT = rng.uniform(size=(61, 3))
    rates_PT[30:50, 1] = np.nan
    curve = curve_of_rates((0, 10, 20), rates_PT, None, [*["a"] * 60, "open"])
    assert curve.freedom > 30 and np.isfinite(curve.change(1).low)


def test_a_part_estimates_the_whole_without_bias_and_its_interval_covers() -> None:
    # problems from a population of three kinds; the groups are told by what the base happens to make of them
    rng = np.random.default_rng(0)
    estimates, covered = [], 0
    truth = float(np.array([-0.2, -0.1, 0.1]) @ [0.4, 0.2, 0.4])
    for _ in range(400):
        kind_P = rng.choice(3, size=160, p=[0.4, 0.2, 0.4])
        ease_P, moved_P = np.array([0.95, 0.5, 0.05])[kind_P], np.array([0.75, 0.4, 0.15])[kind_P]
        rates_PT = np.stack([rng.binomial(4, ease_P) / 4, rng.binomial(4, moved_P) / 4, rng.binomial(4, ease_P) / 4], 1)
        groups = np.digitize(rates_PT[:, 0], [0.1, 0.9])
        for group, share in ((0, 0.3), (1, 0.75), (2, 0.3)):
            rows = np.flatnonzero(groups == group)
            rates_PT[rng.permutation(rows)[max(2, round(share * len(rows))) :], 1] = np.nan
        curve = curve_of_rates((0, 10, 20), rates_PT, None, groups.tolist())
        change = curve.change(1)
        estimates.append(change.mid)
        covered += change.low <= truth <= change.high
        assert np.linalg.eigvalsh(curve.cov_TT).min() > -1e-9
    assert np.mean(estimates) == pytest.approx(truth, abs=0.005)
    assert 0.925 < covered / 400 < 0.98


def test_with_everything_asked_it_is_the_plain_curve() -> None:
    rng = np.random.default_rng(0)
    rates_PT = rng.uniform(size=(50, 3))
    plain = curve_of_rates((0, 10, 20), rates_PT)
    np.testing.assert_allclose(plain.cov_TT, np.cov(rates_PT, rowvar=False) / 50)
    np.testing.assert_allclose(plain.mean_T, rates_PT.mean(axis=0))
    # groups of which all were asked change nothing but degrees of freedom
    grouped = curve_of_rates((0, 10, 20), rates_PT, None, [*["a"] * 20, *["b"] * 30])
    np.testing.assert_allclose(grouped.mean_T, plain.mean_T)
    np.testing.assert_allclose(np.diagonal(grouped.cov_TT), np.diagonal(plain.cov_TT), rtol=0.05)


def test_where_any_right_rollout_counts_all_are_asked_as_often_as_the_base() -> None:
    """Any of one is another measure than any of four: a checkpoint asked less would seem to have fallen."""
    parts = allocate(base(RATES), tokens=2000, samples={"s": 4}, passing={"s"}, seed=0)
    assert {(part.samples, part.rolled) for part in parts} == {(4, 4)} and sum(len(p.problems) for p in parts) < 60
    (open_,) = [part for part in parts if part.stratum == "open"]
    rate = 1 - 0.5**4
    assert open_.spread == pytest.approx(rate * (1 - rate))


def test_halves_weigh_the_same_whatever_their_size() -> None:
    halves = {("s", f"p{i}"): "refuse" if i < 20 else "answer" for i in range(220)}
    parts = allocate(base([0.5] * 220, samples=2), tokens=10**9, samples={"s": 2}, halves=halves, seed=0)
    assert [(part.of, part.weight) for part in parts] == [(20, 0.5), (200, 0.5)]
    variance = sum(0.25 * 2 * part.spread / part.of for part in parts)
    assert resolution(parts)["in_domain"] == pytest.approx(1.96 * variance**0.5)
