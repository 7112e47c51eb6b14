"""The prior of a base model on traces, and the objective that it suggests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from titer.measure import Prior, TokenSums, after_trial, choose, prior, priors
from titer.measure.chooser import formula
from titer.records.results import Call, Interval


def one(i: int, tokens: int, p: float, *, domain: str = "d", teacher: str = "t") -> TokenSums:
    return TokenSums(f"t{i}", domain, teacher, tokens, p * tokens, round(p * tokens / 2), 0.5 * tokens, 2.0 * tokens)


def test_long_traces_count_by_their_tokens() -> None:
    found = prior([one(0, 10, 0.9), one(1, 90, 0.1)])
    assert found.mean_p.mid == pytest.approx(0.18) and (found.traces, found.tokens) == (2, 100)
    assert found.entropy == pytest.approx((0.5, 0.5, 0.5)) and found.nll.mid == pytest.approx(2.0)
    assert found.mean_p.low == pytest.approx(0.1) and found.mean_p.high == pytest.approx(0.9)  # of two, the extremes


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = rng.normal(0.6, 0.1, 40)
        found = prior([one(i, 50, float(p)) for i, p in enumerate(values)], seed=trial)
        covered += found.mean_p.low <= 0.6 <= found.mean_p.high
    assert 0.88 <= covered / 200 <= 0.99


def test_groups_are_named_where_there_are_several() -> None:
    sums = [one(0, 10, 0.2, teacher="a"), one(1, 10, 0.4, teacher="b"), one(2, 30, 0.4, teacher="")]
    found = priors(sums)
    assert list(found) == ["all", "teacher unnamed", "teacher a", "teacher b"]
    assert found["teacher b"].mean_p.mid == pytest.approx(0.4) and math.isnan(found["teacher b"].mean_p.low)
    assert found["all"] == priors(sums)["all"]
    assert list(priors(sums[:2])) == ["all", "teacher a", "teacher b"]


def test_the_seed_is_all_that_is_drawn_by() -> None:
    sums = [one(i, 10 + i, i / 40, teacher="ab"[i % 2]) for i in range(40)]
    found = priors(sums, seed=7)
    assert found["all"] == prior(sums, seed=7) != prior(sums, seed=8)
    assert found["teacher a"] == prior(sums[::2], seed=7) != prior(sums[::2], seed=8)
    assert prior(sums) == prior(sums, seed=0) == priors(sums)["all"]


def at(low: float, mid: float, high: float) -> Prior:
    nothing = Interval(0.0, 0.0, 0.0)
    return Prior(10, 100, Interval(low, mid, high), nothing, nothing, nothing)


@pytest.mark.parametrize(
    ("interval", "objective"),
    [
        ((0.91, 0.93, 0.95), "p"),
        ((0.9, 0.93, 0.95), "p"),
        ((0.89, 0.93, 0.95), None),  # the interval reaches over the cut-off
        ((0.50, 0.54, 0.59), None),
        ((0.40, 0.45, 0.51), None),
        ((0.40, 0.45, 0.49), "nll"),
        ((0.01, 0.04, 0.07), "nll"),
        ((math.nan, 0.9, math.nan), None),  # a single trace says nothing
    ],
)
def test_strong_and_weak_are_chosen_between_is_tried(
    interval: tuple[float, float, float], objective: str | None
) -> None:
    assert choose(at(*interval)).objective == objective


def test_the_cut_offs_can_be_moved() -> None:
    assert choose(at(0.5, 0.55, 0.6), strong=0.45).objective == "p"
    assert choose(at(0.5, 0.55, 0.6), weak=0.65).objective == "nll"


@pytest.mark.parametrize(
    ("call", "objective"),
    [("better", "p"), ("cannot tell", "nll"), ("worse", "nll")],
)
def test_a_trial_must_tell(call: Call, objective: str) -> None:
    assert after_trial(call).objective == objective


def test_a_mean_on_the_lower_cut_off_is_between() -> None:
    assert choose(at(0.4, 0.45, 0.5)).objective is None


def test_every_choice_says_its_rule() -> None:
    said = [choose(at(*interval), candidate=name).rule for interval in BOTH_ENDS for name in ("p", "power:2")]
    assert said == [
        "mean p of the base is above 0.9 with its whole interval: strong, so −p",
        "mean p of the base is above 0.9 with its whole interval: strong, so power:2",
        *["mean p of the base is below 0.5 with its whole interval: weak, so −log p"] * 2,
        *["mean p of the base is not surely above 0.9 nor below 0.5: between"] * 2,
    ]
    assert [after_trial(call).rule for call in ("better", "worse", "cannot tell")] == [
        "between, and in the trial −p was above −log p: its interval excludes zero",
        "between, and in the trial −log p was above −p: its interval excludes zero",
        "between, and the trial cannot tell −p from −log p: −log p",
    ]
    assert formula("nll") == "−log p"


BOTH_ENDS = ((0.91, 0.95, 0.97), (0.1, 0.2, 0.3), (0.6, 0.7, 0.8))
