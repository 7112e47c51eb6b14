from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from titer.errors import InputError
from titer.evaluate.compare import compare
from titer.records.results import Difference, Interval, Measure
from titer.records.schema import Rollout


def rollouts(
    model: str,
    rights: NDArray[np.bool_],
    *,
    suite: str = "s",
    axis: str = "in_domain",
    tokens: int = 10,
    parsed: NDArray[np.bool_] | None = None,
) -> list[Rollout]:
    read = np.ones_like(rights) if parsed is None else parsed
    return [
        Rollout(
            problem_id=f"p{i}",
            sample=j,
            model=model,
            prompt="",
            reasoning="",
            response="",
            finish_reason="stop" if read[i, j] else "length",
            tokens=tokens + i,
            score=float(rights[i, j]),
            parsed="7" if read[i, j] else None,
            suite=suite,
            axis=axis,
        )
        for i, j in np.ndindex(rights.shape)
    ]


def draw(rng: np.random.Generator, rates: NDArray[np.float64], k: int = 4) -> NDArray[np.bool_]:
    return rng.random((len(rates), k)) < rates[:, None]


def found(differences: list[Difference], measure: Measure = "accuracy", level: str = "suite") -> Difference:
    (difference,) = [d for d in differences if d.measure == measure and d.level == level]
    return difference


def test_a_gain_is_better_and_its_mirror_worse() -> None:
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.1, 0.5, size=80)
    base, other = rollouts("b", draw(rng, rates)), rollouts("o", draw(rng, rates + 0.3))
    gain, loss = found(compare(base, other)), found(compare(other, base))
    assert (gain.better, loss.better) == ("better", "worse")
    assert (gain.base, gain.other, loss.base, loss.other) == ("b", "o", "o", "b")
    assert gain.change.low < 0.3 < gain.change.high
    assert gain.change.mid == pytest.approx(gain.other_value - gain.base_value)
    assert gain.change.mid == pytest.approx(-loss.change.mid)


def test_the_seed_is_all_that_is_drawn_by() -> None:
    rng = np.random.default_rng(1)
    base, other = (rollouts(name, draw(rng, rng.uniform(size=40))) for name in "bo")
    one, again, another = (found(compare(base, other, **seed)) for seed in ({}, {"seed": 0}, {"seed": 1}))
    assert one == again != another


def test_pairing_tells_what_unpaired_noise_would_hide() -> None:
    """Half the problems are never solved, half nearly always; the other model gains .1 on each."""
    hard = np.repeat([[False] * 10, [True] * 9 + [False]], 20, axis=0)
    gained = hard.copy()
    gained[:20, 0], gained[20:, 9] = True, True
    difference = found(compare(rollouts("b", hard), rollouts("o", gained)))
    assert difference.change == pytest.approx((0.1, 0.1, 0.1))
    assert difference.better == "better"


def test_the_same_answers_cannot_be_told_apart() -> None:
    rights = draw(np.random.default_rng(1), np.full(40, 0.5))
    differences = compare(rollouts("b", rights), rollouts("o", rights))
    assert {d.better for d in differences} == {"cannot tell"}
    assert all(d.differing == 0 and d.change.mid == 0 for d in differences)


def test_one_problem_cannot_tell() -> None:
    base, other = np.zeros((1, 16), dtype=bool), np.ones((1, 16), dtype=bool)
    difference = found(compare(rollouts("b", base), rollouts("o", other)))
    assert difference.change.mid == 1.0
    assert math.isnan(difference.change.low)
    assert difference.better == "cannot tell"


@pytest.mark.parametrize(("gained", "call"), [(5, "cannot tell"), (6, "better")])
def test_six_problems_must_differ(gained: int, call: str) -> None:
    base, other = np.zeros((50, 1), dtype=bool), np.zeros((50, 1), dtype=bool)
    other[:gained] = True
    difference = found(compare(rollouts("b", base), rollouts("o", other)))
    assert difference.change.low > 0
    assert (difference.differing, difference.better) == (gained, call)


def test_lengths_are_longer_or_shorter() -> None:
    rights = np.ones((20, 2), dtype=bool)
    base, other = rollouts("b", rights, tokens=10), rollouts("o", rights, tokens=25)
    longer = found(compare(base, other), "tokens")
    assert (longer.better, longer.change.mid) == ("longer", 15)
    assert found(compare(other, base), "tokens").better == "shorter"
    slightly = found(compare(base, rollouts("o", rights, tokens=11)), "tokens")
    assert (slightly.better, slightly.change.mid) == ("longer", 1)


def test_only_what_a_measure_is_made_of_counts_as_differing() -> None:
    """Ten problems parse where they had not; all are wrong still, and as long as before."""
    wrong, parsed = np.zeros((20, 2), dtype=bool), np.zeros((20, 2), dtype=bool)
    parsed[:10] = True
    differences = compare(rollouts("b", wrong, parsed=np.zeros_like(parsed)), rollouts("o", wrong, parsed=parsed))
    differing = {one.measure: one.differing for one in differences if one.level == "suite"}
    assert differing == {"accuracy": 0, "terminated": 10, "parsed": 10, "accuracy_given_parsed": 10, "tokens": 0}
    assert {one.mediated for one in differences} == {None}  # of a gain in accuracy alone


def test_an_interval_is_widened_where_few_problems_differ() -> None:
    gain, loss = Interval(0.1, 0.2, 0.3), Interval(-0.3, -0.2, -0.1)
    assert gain.with_differing(6) == gain
    assert gain.with_differing(5) == Interval(0.0, 0.2, pytest.approx(0.4))
    assert loss.with_differing(5) == Interval(pytest.approx(-0.4), -0.2, 0.0)
    assert Interval(-0.5, 0.2, 0.9).with_differing(5) == Interval(-0.5, 0.2, 0.9)


def test_parse_rate_and_accuracy_given_parsed_are_told_apart() -> None:
    """The other model parses more and is right as often when it parses: all of the gain is parse rate."""
    rng = np.random.default_rng(2)
    right = rng.random((200, 8)) < 0.6
    parsed_base, parsed_other = rng.random((200, 8)) < 0.5, rng.random((200, 8)) < 0.9
    base = rollouts("b", right & parsed_base, parsed=parsed_base)
    other = rollouts("o", right & parsed_other, parsed=parsed_other)
    differences = compare(base, other)
    calls = {m: found(differences, m).better for m in ("accuracy", "parsed", "terminated")}
    assert calls == {"accuracy": "better", "parsed": "better", "terminated": "better"}
    assert found(differences, "accuracy_given_parsed").better == "cannot tell"


def test_an_axis_pools_its_suites_problems() -> None:
    wrong, right = np.zeros((30, 2), dtype=bool), np.ones((10, 2), dtype=bool)
    base = [*rollouts("b", wrong, suite="s"), *rollouts("b", ~right, suite="t")]
    other = [*rollouts("o", wrong, suite="s"), *rollouts("o", right, suite="t")]
    axis = found(compare(base, other), level="axis")
    assert (axis.problems, axis.suite, axis.axis) == (40, "", "in_domain")
    assert axis.change.mid == pytest.approx(10 / 40)


def test_an_axis_of_one_suite_has_that_suites_interval() -> None:
    rng = np.random.default_rng(4)
    base, other = rollouts("b", draw(rng, np.full(40, 0.3))), rollouts("o", draw(rng, np.full(40, 0.5)))
    differences = compare(base, other)
    assert found(differences, level="axis").change == found(differences, level="suite").change


def test_problems_of_one_side_alone_are_named_and_left_out() -> None:
    base = rollouts("b", np.zeros((12, 2), dtype=bool))
    other = rollouts("o", np.ones((10, 2), dtype=bool))
    differences = compare(base, other)
    assert found(differences).left_out == ("p10", "p11")
    assert found(differences).problems == 10
    assert found(differences, level="axis").left_out == ("s/p10", "s/p11")


@pytest.mark.parametrize("lost", [{"score": None, "parsed": None}, {"finish_reason": "error"}])
def test_a_problem_without_a_grade_or_an_answer_on_one_side_is_left_out(lost: dict[str, Any]) -> None:
    base, other = rollouts("b", np.zeros((12, 2), dtype=bool)), rollouts("o", np.ones((12, 2), dtype=bool))
    gone = [replace(one, **lost) if one.problem_id == "p3" else one for one in other]
    for differences in (compare(base, gone), compare(gone, base)):
        assert found(differences).left_out == ("p3",) and found(differences).problems == 11


def test_a_suite_of_one_side_alone_tells_nothing() -> None:
    right = np.ones((8, 2), dtype=bool)
    both = [*rollouts("b", right), *rollouts("b", right, suite="t")]
    alone = [d for d in compare(both, rollouts("o", right)) if d.suite == "t"]
    assert {(d.problems, d.better, len(d.left_out)) for d in alone} == {(0, "cannot tell", 8)}


def test_sides_that_cannot_be_compared_are_refused() -> None:
    rows = rollouts("b", np.ones((3, 1), dtype=bool))
    with pytest.raises(InputError, match="base side holds no rollouts"):
        compare([], rows)
    with pytest.raises(InputError, match="other side holds 2 models: b, o"):
        compare(rows, [*rows, *rollouts("o", np.ones((3, 1), dtype=bool))])
    with pytest.raises(InputError, match="'b' and 'o' share no problem"):
        compare(rows, rollouts("o", np.ones((3, 1), dtype=bool), suite="t"))


@pytest.mark.parametrize("solved", [0.5, 0.97])
def test_equal_models_are_rarely_called_different(solved: float) -> None:
    """500 pairs of equal models: at 5 % two-sided, 25 calls expected; five sigmas above is 50."""
    rng = np.random.default_rng(5)
    calls = 0
    for trial in range(500):
        rates = np.clip(rng.normal(solved, 0.05, size=60), 0, 1)
        base, other = rollouts("b", draw(rng, rates, 2)), rollouts("o", draw(rng, rates, 2))
        calls += found(compare(base, other, resamples=400, seed=trial)).better != "cannot tell"
    assert calls <= 50


def test_how_much_of_a_gain_is_ending_at_all() -> None:
    rng = np.random.default_rng(1)
    knows = rng.random((200, 8)) < 0.6
    half, whole = rng.random(knows.shape) < 0.5, np.ones_like(knows)
    cut, ended = rollouts("b", knows & half, parsed=half), rollouts("o", knows, parsed=whole)
    gain = found(compare(cut, ended))
    assert gain.change.mid == pytest.approx(0.3, abs=0.03)
    assert gain.mediated is not None and gain.mediated.low < 1 < gain.mediated.high
    assert gain.mediated.mid == pytest.approx(1, abs=0.1)
    better = found(compare(rollouts("b", knows), rollouts("o", knows | half)))
    assert better.mediated is not None and tuple(better.mediated) == pytest.approx((0, 0, 0), abs=1e-9)
    assert {one.mediated for one in compare(cut, ended) if one.measure != "accuracy"} == {None}


def test_no_share_of_what_cannot_be_told_or_was_never_answered() -> None:
    rng = np.random.default_rng(2)
    knows = rng.random((40, 4)) < 0.5
    assert found(compare(rollouts("b", knows), rollouts("o", knows))).mediated is None
    once = knows.copy()
    once[0, 0] ^= True
    unsure = found(compare(rollouts("b", knows), rollouts("o", once)))
    assert unsure.change.mid != 0 and unsure.mediated is None
    none = rollouts("b", np.zeros_like(knows), parsed=np.zeros_like(knows))
    gain = found(compare(none, rollouts("o", knows)))
    assert gain.better == "better" and gain.mediated is None


def test_five_problems_that_differ_share_out_no_gain() -> None:
    gain = found(compare(rollouts("b", np.zeros((5, 1), dtype=bool)), rollouts("o", np.ones((5, 1), dtype=bool))))
    assert gain.change == Interval(1.0, 1.0, 1.0) and gain.better == "cannot tell" and gain.mediated is None


def test_halves_weigh_alike_and_draws_are_taken_within_them() -> None:
    halves = {("s", f"p{i}"): "refuse" if i < 300 else "answer" for i in range(330)}
    before = np.array([[i % 10 != 0] for i in range(330)])
    refuses_all = np.array([[i < 300] for i in range(330)])
    sides = rollouts("b", before), rollouts("o", refuses_all)
    assert found(compare(*sides)).better == "cannot tell"  # 90.0 to 90.9 %, pooled
    difference = found(compare(*sides, halves=halves))
    assert (difference.base_value, difference.other_value) == pytest.approx((0.9, 0.5))
    assert difference.change.mid == pytest.approx(-0.4) and difference.better == "worse"
    assert found(compare(*sides, halves=halves), level="axis").change.mid == pytest.approx(-0.4)
    answers_none = found(compare(rollouts("b", refuses_all & False), rollouts("o", refuses_all), halves=halves))
    assert tuple(answers_none.change) == pytest.approx((0.5, 0.5, 0.5), abs=1e-12)  # each half is beyond doubt
