from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.errors import InputError
from titer.evaluate.metrics import Group, count, interval, pass_at_k, resampled_sums, summarise
from titer.records.results import Interval
from titer.records.schema import Rollout


def rollout(problem: str, sample: int, score: float | None, *, parsed: bool = True, **other: object) -> Rollout:
    made = Rollout(
        problem_id=problem,
        sample=sample,
        model="m",
        prompt="",
        reasoning="",
        response="",
        finish_reason="stop",
        tokens=10,
        score=score,
        parsed="7" if parsed else None,
        suite="s",
        axis="in_domain",
    )
    return replace(made, **other)  # type: ignore[arg-type]


def graded(rights: Iterable[Iterable[int]]) -> list[Rollout]:
    return [rollout(f"p{i}", j, float(r)) for i, row in enumerate(rights) for j, r in enumerate(row)]


def test_counts_add_up() -> None:
    rows = [
        rollout("a", 0, 1.0),
        rollout("a", 1, 0.0, parsed=False, finish_reason="length", tokens=30),
        rollout("a", 2, None, parsed=False, note="timeout"),
        rollout("b", 0, 0.0),
    ]
    (problems,) = count(rows).values()
    first, second = problems["a"], problems["b"]
    assert (len(first.samples), first.correct, first.graded, len(first.ungraded)) == (3, 1, 2, 1)
    assert (first.parsed, first.terminated, first.tokens) == (1, 2, 50)
    assert (list(problems), len(second.samples), second.correct, second.graded) == (["a", "b"], 1, 0, 1)


def test_a_problem_that_the_backend_never_answered_has_no_length() -> None:
    rows = [rollout("a", 0, 1.0, tokens=30), rollout("b", 0, None, parsed=False, finish_reason="error", tokens=0)]
    (summary,) = summarise(rows, resamples=9)
    assert (summary.tokens.mid, summary.terminated.mid) == (30, 1)


def test_models_suites_and_axes_are_counted_apart() -> None:
    rows = [rollout("a", 0, 1.0), rollout("a", 0, 0.0, model="n"), rollout("a", 0, 0.0, suite="t")]
    found = {group: problems["a"].correct for group, problems in count(rows).items()}
    assert found == {
        Group("m", "in_domain", "s"): 1,
        Group("n", "in_domain", "s"): 0,
        Group("m", "in_domain", "t"): 0,
    }
    assert list(count([*rows, rollout("a", 0, 1.0, axis="general")]))[-1] == Group("m", "general", "s")


@pytest.mark.parametrize(
    ("bad", "field", "names"),
    [
        ([rollout("a", 0, 1.0), rollout("a", 0, 0.0)], "sample", "a#0 of model 'm' appears twice"),
        ([rollout("a", 0, 0.5)], "score", "score 0.5"),
        ([rollout("a", 0, float("nan"))], "score", "score nan"),
        ([rollout("a", 0, 1.0, parsed=False)], "parsed", "graded right without an answer"),
    ],
)
def test_unsound_rollouts_are_refused(bad: list[Rollout], field: str, names: str) -> None:
    with pytest.raises(InputError, match=names) as caught:
        count(bad)
    assert caught.value.field == field


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_k_subsets_with_a_right_one(n: int) -> None:
    for c in range(n + 1):
        samples = [i < c for i in range(n)]
        for k in range(1, n + 1):
            subsets = [any(subset) for subset in combinations(samples, k)]
            assert pass_at_k(n, c, k) == pytest.approx(sum(subsets) / len(subsets), abs=1e-12)


def test_pass_at_k_does_not_overflow() -> None:
    assert pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_pass_at_k_refuses_what_is_not_defined(n: int, c: int, k: int) -> None:
    with pytest.raises(InputError, match="not defined"):
        pass_at_k(n, c, k)


def test_summary_of_a_small_suite_by_hand() -> None:
    rows = [
        *(rollout("a", j, 1.0) for j in range(4)),
        *(rollout("b", j, 0.0, parsed=j < 2, finish_reason="length", tokens=20) for j in range(4)),
    ]
    (summary,) = summarise(rows)
    assert (summary.model, summary.suite, summary.axis) == ("m", "s", rows[0].axis)
    assert (summary.problems, summary.samples, summary.samples_per_problem) == (2, 8, 4)
    assert summary.accuracy.mid == 0.5
    assert summary.pass_at == {1: 0.5, 2: 0.5, 4: 0.5}
    assert summary.terminated.mid == 0.5
    assert summary.parsed.mid == 0.75
    assert summary.accuracy_given_parsed.mid == pytest.approx(2 / 3)
    assert summary.tokens.mid == 15


def test_two_problems_have_an_interval() -> None:
    (summary,) = summarise([rollout("a", 0, 1.0), rollout("b", 0, 0.0)])
    assert summary.accuracy == (0.0, 0.5, 1.0)


def test_an_ungraded_rollout_is_listed_and_never_wrong() -> None:
    rows = [rollout("a", 0, 1.0), rollout("a", 1, None, parsed=False), rollout("b", 0, None, parsed=False)]
    (summary,) = summarise(rows)
    assert summary.accuracy.mid == 1.0
    assert summary.ungraded == ("a#1", "b#0")


def test_a_backend_error_is_no_sign_of_length_or_termination() -> None:
    rows = [
        rollout("a", 0, 1.0, tokens=8),
        rollout("a", 1, None, parsed=False, finish_reason="error", tokens=0),
    ]
    (summary,) = summarise(rows)
    assert (summary.terminated.mid, summary.tokens.mid) == (1.0, 8.0)


def test_nothing_parsed_leaves_accuracy_given_parsed_undefined() -> None:
    (summary,) = summarise([rollout(p, 0, 0.0, parsed=False) for p in "abc"])
    assert summary.accuracy.mid == 0.0
    assert all(math.isnan(x) for x in summary.accuracy_given_parsed)


def test_nothing_graded_leaves_rates_undefined_and_pass_at_empty() -> None:
    (summary,) = summarise([rollout(p, 0, None, parsed=False) for p in "abc"])
    assert math.isnan(summary.accuracy.mid)
    assert summary.pass_at == {}
    assert len(summary.ungraded) == 3


def test_one_problem_has_no_interval() -> None:
    (summary,) = summarise(graded([[1, 0, 1, 1]]))
    assert summary.accuracy.mid == 0.75
    assert math.isnan(summary.accuracy.low) and math.isnan(summary.accuracy.high)


def test_a_problem_that_could_not_be_graded_does_not_make_two_of_one() -> None:
    (summary,) = summarise([rollout("a", 0, 1.0), rollout("b", 0, None, note="timeout")])
    assert summary.accuracy.mid == 1 and math.isnan(summary.accuracy.low) and math.isnan(summary.accuracy.high)
    assert not math.isnan(summary.tokens.low)


def test_k_bounds_pass_at() -> None:
    (summary,) = summarise(graded([[1, 0, 0, 0, 0, 0], [0] * 6]), k=5)
    assert list(summary.pass_at) == [1, 2, 4, 5]


outcomes = st.sampled_from([(1.0, True), (0.0, True), (0.0, False), (None, False)])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(outcomes, min_size=1, max_size=6), min_size=1, max_size=8))
def test_accuracy_is_parse_rate_times_accuracy_given_parsed(grades: list[list[tuple[float | None, bool]]]) -> None:
    rows = [
        rollout(f"p{i}", j, score, parsed=parsed)
        for i, row in enumerate(grades)
        for j, (score, parsed) in enumerate(row)
    ]
    (summary,) = summarise(rows, resamples=10)
    if summary.parsed.mid > 0:
        product = summary.parsed.mid * summary.accuracy_given_parsed.mid
        assert summary.accuracy.mid == pytest.approx(product, rel=1e-12)
    else:
        assert math.isnan(summary.parsed.mid) or summary.accuracy.mid == 0


def test_intervals_repeat_with_the_seed_and_ignore_other_suites() -> None:
    rng = np.random.default_rng(1)
    rows = graded(rng.integers(0, 2, size=(30, 4)))
    alone = summarise(rows, resamples=99, seed=3)[0]
    beside = summarise([*(replace(r, suite="t") for r in rows), *rows], resamples=99, seed=3)[1]
    assert alone == beside
    assert alone.accuracy != summarise(rows, resamples=99, seed=4)[0].accuracy
    assert summarise(rows, resamples=99) == summarise(rows, resamples=99, seed=0)


def test_an_interval_is_what_95_percent_of_the_draws_hold() -> None:
    found = interval(0.5, np.arange(1001) / 1000, problems=2)
    assert found == Interval(pytest.approx(0.025), 0.5, pytest.approx(0.975))


def test_resampling_blocks_do_not_change_what_a_draw_is() -> None:
    ones = np.ones((5_000, 1))
    sums = resampled_sums(ones, resamples=2_000, seed=(0,))  # more than one block
    assert sums.shape == (2_000, 1)
    assert (sums == 5_000).all()


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    """400 suites of 60 problems from Beta(1, 2), whose mean is 1/3. Binomial bounds around .94, five sigmas."""
    rng = np.random.default_rng(20)
    covered = 0
    for trial in range(400):
        solve_rates = rng.beta(1, 2, size=60)
        rights = rng.random((60, 4)) < solve_rates[:, None]
        (summary,) = summarise(graded(rights.astype(int)), resamples=1_000, seed=trial)
        covered += summary.accuracy.low <= 1 / 3 <= summary.accuracy.high
    assert 0.88 <= covered / 400 <= 0.99


def refusals(refused: float, answered: float, *, model: str = "m") -> tuple[list[Rollout], dict[tuple[str, str], str]]:
    """300 problems to be refused and 30 look-alikes, and the shares of them that are done right."""
    kinds = {f"r{i}": i < 300 * refused for i in range(300)} | {f"a{i}": i < 30 * answered for i in range(30)}
    rows = [rollout(name, 0, float(right), axis="safety", model=model) for name, right in kinds.items()]
    return rows, {("s", name): "refuse" if name[0] == "r" else "answer" for name in kinds}


def test_halves_weigh_alike_however_many_problems_each_has() -> None:
    rows, halves = refusals(0.9, 0.5)
    (plain,), (summary,) = summarise(rows), summarise(rows, halves=halves)
    assert plain.accuracy.mid == pytest.approx(285 / 330)
    assert summary.accuracy.mid == pytest.approx(0.7) == summary.pass_at[1]
    assert summary.accuracy.mid == pytest.approx(summary.parsed.mid * summary.accuracy_given_parsed.mid)
    assert summary.terminated.mid == plain.terminated.mid
    # the variance is that of the mean of two means
    half = 1.96 * 0.5 * math.sqrt(0.09 / 300 + 0.25 / 30)
    assert summary.accuracy.high - summary.accuracy.low == pytest.approx(2 * half, rel=0.1)
    ungraded = [replace(row, score=None) if row.problem_id in ("a0", "r0", "r1") else row for row in rows]
    assert summarise(ungraded, halves=halves)[0].accuracy.mid == pytest.approx((268 / 298 + 14 / 29) / 2)


def test_draws_are_taken_within_the_halves() -> None:
    """Each half alone is beyond doubt, and so is what they come to together."""
    rows, halves = refusals(1.0, 0.0)
    (summary,) = summarise(rows, halves=halves, resamples=99)
    assert tuple(summary.accuracy) == pytest.approx((0.5, 0.5, 0.5), abs=1e-12)


def test_lengths_count_every_problem_alike_whatever_its_half() -> None:
    rows, halves = refusals(1.0, 1.0)
    longer = [replace(row, tokens=100 if row.problem_id[0] == "a" else 10) for row in rows]
    (summary,) = summarise(longer, halves=halves)
    assert summary.tokens.mid == pytest.approx((300 * 10 + 30 * 100) / 330)


def test_a_half_of_one_problem_says_nothing_of_others() -> None:
    rows, halves = refusals(1.0, 1.0)
    one = [row for row in rows if row.problem_id[0] == "r" or row.problem_id == "a0"]
    (summary,) = summarise(one, halves=halves, resamples=9)
    assert math.isnan(summary.accuracy.low) and not math.isnan(summary.tokens.low)
