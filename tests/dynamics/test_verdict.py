"""Verdicts on curves with known truth, and on the published ones."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import ttest_ind

from titer.dynamics import AxisCurves, Curve, back_at, curve_of_rates, curve_of_scores, judge, read_axis
from titer.dynamics.curve import ALPHA
from titer.errors import InputError
from titer.records.results import Label

GRID = (0, 10, 20, 40, 80, 160, 320, 640)


def curve(means: Sequence[float], *, problems: int = 200, steps: Sequence[int] | None = None) -> Curve:
    """Rates of problems that fall and rise together with the mean, and differ among themselves."""
    rng = np.random.default_rng(0)
    own_P = rng.uniform(-0.2, 0.2, size=problems)
    rates_PT = own_P[:, None] + rng.normal(0, 0.1, size=(problems, len(means)))
    rates_PT += np.array(means) - rates_PT.mean(axis=0)
    return curve_of_rates(steps or GRID[: len(means)], rates_PT)


def still(value: float, like: Curve) -> Curve:
    """A curve that does not move."""
    return curve_of_rates(like.steps, np.full((10, len(like.steps)), value))


def axis(accuracy: Curve, tokens: Curve | None = None, withheld: str = "") -> AxisCurves:
    return AxisCurves(accuracy, still(1.0, accuracy), tokens or still(50.0, accuracy), withheld=withheld)


@pytest.mark.parametrize(
    ("means", "label", "rule"),
    [
        ([0.5, 0.6], "improving", "above the base"),
        ([0.5, 0.5], "cannot tell", "leave it open"),
        ([0.5, 0.55, 0.6], "improving", "above the base"),
        ([0.5, 0.6, 0.6], "settled", "within .03 of the checkpoint before"),
        ([0.5, 0.5, 0.5], "settled", "within .03 of the base"),
        ([0.5, 0.3, 0.5], "recovered", "is made good"),
        ([0.5, 0.3, 0.6], "recovered", "is made good"),
        ([0.5, 0.3], "dipping", "no longer than published dips"),
        ([0.5, 0.4, 0.3], "dipping", "no longer than published dips"),
        ([0.5, 0.2, 0.2, 0.25, 0.3, 0.4], "dipping", "climbing"),
        ([0.5, 0.3, 0.3, 0.3, 0.3, 0.3], "degraded", "less than half of the fall made good"),
        # risen once and then level: no climb, however clearly it is above its lowest
        ([0.5, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3], "degraded", "less than half of the fall made good"),
        ([0.5, 0.6, 0.7, 0.4], "degraded", "was above the base"),
        ([0.5, 0.6, 0.7, 0.55], "degraded", "below its own best"),
        ([0.5, 0.56, 0.7, 0.6], "degraded", "below its own best"),
    ],
)
def test_labels(means: Sequence[float], label: Label, rule: str) -> None:
    reading = read_axis(curve(means))
    assert reading.label == label
    assert rule in reading.rule


@pytest.mark.parametrize(("update", "label"), [(80, "dipping"), (470, "degraded")])
def test_one_checkpoint_alone_is_judged_by_when_it_is(update: int, label: str) -> None:
    # what is below the base at 470 has had as long as published dips took, whenever it fell
    assert read_axis(curve([0.5, 0.3], steps=(0, update))).label == label


def test_few_problems_tell_nothing() -> None:
    assert read_axis(curve([0.5, 0.48, 0.52], problems=20)).label == "cannot tell"


def test_one_problem_tells_nothing() -> None:
    one = curve([0.5, 0.1, 0.9], problems=1)
    reading = read_axis(one)
    assert (reading.label, reading.rule) == ("cannot tell", "there is but one problem, so nothing is known of others")
    assert np.isnan(one.change(1).low)


def test_fewer_than_six_problems_that_differ_tell_nothing() -> None:
    rates_PT = np.zeros((100, 2))
    rates_PT[:5, 1] = 1
    assert read_axis(curve_of_rates((0, 10), rates_PT)).label == "cannot tell"
    rates_PT[:6, 1] = 1
    assert read_axis(curve_of_rates((0, 10), rates_PT)).label == "improving"


def test_published_curves() -> None:
    # arXiv 2604.06628: Qwen3-4B at updates 0, 20 and 640, MATH500 (500 problems) and IFEval (541 prompts)
    for scores, problems in (((0.708, 0.629, 0.862), 500), ((0.492, 0.330, 0.494), 541)):
        reading = read_axis(curve_of_scores((0, 20, 640), scores, problems=problems))
        assert (reading.label, reading.trough) == ("recovered", 1)
    # at update 20 the same runs are in their dip
    assert read_axis(curve_of_scores((0, 20), (0.492, 0.330), problems=541)).label == "dipping"
    # Qwen3-14B without the thinking, before and after, MATH500 and AIME24: only the two ends are published, and none
    # is below the base
    for before, after, problems in ((0.778, 0.824, 500), (0.147, 0.170, 30)):
        assert read_axis(curve_of_scores((0, 640), (before, after), problems=problems)).label in (
            "improving",
            "cannot tell",
        )
    # and with it
    assert read_axis(curve_of_scores((0, 640), (0.778, 0.951), problems=500)).label == "improving"


def test_a_weak_model_that_falls_and_stays_reads_as_no_recovery() -> None:
    # the 1.7B run is published in words only: "no broad recovery, verbose". A made curve of that shape.
    fallen = curve([0.5, 0.4, 0.35, 0.34, 0.35, 0.34, 0.35, 0.36])
    assert read_axis(fallen).label == "degraded"


def test_scores_outside_of_0_to_1_are_refused() -> None:
    with pytest.raises(InputError, match="one accuracy in"):
        curve_of_scores((0, 20), (70.8, 62.9), problems=500)


def test_intervals_hold_together() -> None:
    # of level curves, seven checkpoints in one go: at most 5 % may have any interval that excludes zero
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        rates_PT = rng.binomial(4, rng.uniform(size=(150, 1)), size=(150, len(GRID))) / 4
        level = curve_of_rates(GRID, rates_PT)
        wrong += any(level.change(place, tests=7).excludes_zero for place in range(1, 8))
    assert wrong / 400 < 0.08  # 5 % and three standard errors
    assert wrong > 0


def test_strata_weigh_the_same() -> None:
    rates_PT = np.array([[0.0, 1.0]] * 30 + [[1.0, 1.0]] * 10)
    halves = curve_of_rates((0, 10), rates_PT, [*["refuse"] * 30, *["answer"] * 10])
    assert halves.mean_T.tolist() == [0.5, 1.0]
    assert curve_of_rates((0, 10), rates_PT).mean_T.tolist() == [0.25, 1.0]


def test_a_recovery_is_dated_and_lengths_go_with_it() -> None:
    accuracy = curve([0.5, 0.2, 0.3, 0.4, 0.5])
    judgement = judge({"general": axis(accuracy, curve([50, 90, 80, 70, 60]))})
    (general,) = judgement.axes
    assert (general.label, general.trough, general.made_good) == ("recovered", 10, 40)
    assert list(general.lengths) == [0, 10, 20, 40, 80] and general.lengths[10] == pytest.approx(90)
    assert general.ended[80] == 1.0


def test_too_early_says_until_when() -> None:
    dipped = curve([0.5, 0.2, 0.22, 0.27, 0.33])
    judgement = judge({"in_domain": axis(curve([0.3, 0.5, 0.5, 0.5, 0.5])), "general": axis(dipped)})
    assert judgement.call == "too early to judge"
    (general,) = (verdict for verdict in judgement.axes if verdict.axis == "general")
    assert general.trough == 10
    assert general.back is not None and general.back.low <= general.back.mid <= general.back.high
    assert judgement.until == int(np.ceil(general.back.mid)) > 80


def test_the_climb_is_straight_in_the_logarithm() -> None:
    # from -.3 at 10 to -.1 at 40: .1 a doubling, so back at the base at 80
    dipped = curve([0.5, 0.2, 0.3, 0.4], problems=5000)
    judgement = judge({"general": axis(dipped)})
    back = judgement.axes[0].back
    assert back is not None
    assert back.mid == pytest.approx(80, rel=0.05)
    assert back.low < 80 < back.high


def test_when_it_is_back_spreads_as_lines_through_noisy_means_do() -> None:
    dipped = curve([0.5, 0.2, 0.3, 0.4], problems=60)
    drawn_DT = np.random.default_rng(9).multivariate_normal(dipped.mean_T, dipped.cov_TT, size=4000)
    lines = np.polyfit(np.log2([10, 20, 40]), (drawn_DT[:, 1:] - drawn_DT[:, :1]).T, 1)
    low, high = np.quantile(2 ** (-lines[1] / lines[0]), [0.025, 0.975])
    back = back_at(dipped, 1)
    assert back is not None
    assert (back.low, back.high) == (pytest.approx(low, rel=0.02), pytest.approx(high, rel=0.02))


def test_too_early_is_never_until_what_is_past() -> None:
    # a slow climb whose line should have met the base already: twice as long as until now
    slow = curve([0.5, 0.2, 0.42, 0.44, 0.45, 0.455, 0.46], problems=4000)
    judgement = judge({"general": axis(slow)})
    back = judgement.axes[0].back
    assert back is not None and back.mid < 320
    assert (judgement.call, judgement.until) == ("too early to judge", 640)
    # and one that only just fell: eight times the update by which it had fallen, whatever the lowest
    judgement = judge({"general": axis(curve([0.5, 0.45, 0.4, 0.3]))})
    assert (judgement.axes[0].fell, judgement.until) == (10, 80)


def test_a_run_whose_last_checkpoint_is_best_over_all_axes_is_not_overfitting() -> None:
    rising, slipping = curve([0.3, 0.5, 0.9]), curve([0.5, 0.58, 0.53])
    judgement = judge({"in_domain": axis(rising), "general": axis(slipping)})
    assert judgement.axes[1].peaked and judgement.call != "overfitting" and judgement.take is None


def test_in_domain_lost_for_good_is_no_reason_to_take_the_last() -> None:
    judgement = judge({"in_domain": axis(curve([0.5, 0.3, 0.3, 0.3, 0.3, 0.3]))})
    assert (judgement.call, judgement.take) == ("done", 0)


def test_errors_of_the_call_are_those_of_all_axes_together() -> None:
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(200):
        level = [
            curve_of_rates(GRID, rng.binomial(4, rng.uniform(size=(150, 1)), size=(150, len(GRID))) / 4)
            for _ in range(4)
        ]
        names = ("in_domain", "out_of_domain", "general", "safety")
        call = judge({name: AxisCurves(one) for name, one in zip(names, level, strict=True)}).call
        wrong += call in ("overfitting", "too early to judge")
    assert wrong / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_a_gain_that_is_none_over_all_axes_together_is_not_done() -> None:
    level = {name: axis(curve([0.5, 0.5])) for name in ("out_of_domain", "general", "safety")}
    gains = axis(curve([0.5, 0.522]))
    assert read_axis(gains.accuracy).label == "improving" and read_axis(gains.accuracy, axes=4).label == "cannot tell"
    judgement = judge({"in_domain": gains, **level})
    assert (judgement.call, judgement.axes[0].label) == ("cannot tell", "improving")
    assert judgement.reason == (
        "in-domain: the intervals leave it open (improving by itself, not with the 5 % shared among all axes)"
    )
    assert judge({"in_domain": gains}).call == "done"


def test_overfitting_names_the_checkpoint_to_take() -> None:
    judgement = judge({"in_domain": axis(curve([0.5, 0.6, 0.8, 0.55]))})
    assert (judgement.call, judgement.take) == ("overfitting", 20)
    assert judgement.reason == "in-domain fell from an earlier checkpoint"


def test_done() -> None:
    judgement = judge({"in_domain": axis(curve([0.5, 0.7, 0.7])), "general": axis(curve([0.5, 0.3, 0.5]))})
    assert (judgement.call, judgement.reason) == ("done", "in-domain is settled, and no axis dips")
    assert not judgement.cost


def test_a_cost_in_safety_comes_first_with_remedies() -> None:
    judgement = judge({"in_domain": axis(curve([0.5, 0.7, 0.7])), "safety": axis(curve([0.9, 0.6, 0.6, 0.6][:3]))})
    assert "in-domain (+20.0 points [" in judgement.cost and "safety (-30.0 points [" in judgement.cost
    assert any("rehearsal" in remedy for remedy in judgement.remedies)
    rising, falling = axis(curve([0.5, 0.7, 0.7])), axis(curve([0.9, 0.6, 0.6]))
    both = judge({"in_domain": rising, "out_of_domain": rising, "safety": falling}).cost
    assert re.fullmatch(r"in-domain \(\S+ points .*\) and out-of-domain \(.*\) rose while safety \(.*\) fell", both)


def test_a_withheld_axis_has_no_label() -> None:
    judgement = judge({"in_domain": axis(curve([0.5, 0.7]), withheld="40% of the rollouts could not be graded")})
    (verdict,) = judgement.axes
    assert (verdict.label, verdict.rule) == ("cannot tell", "40% of the rollouts could not be graded")
    assert verdict.withheld == verdict.rule
    assert (judgement.call, judgement.reason) == ("cannot tell", "every verdict is withheld")


@pytest.mark.parametrize(
    ("tokens", "signal"),
    [
        ([50, 80], "surging"),
        ([50, 80, 80], "surging"),
        ([50, 90, 60], "contracting"),
        ([50, 90, 83], "contracting"),  # by more than a tenth of the base's
        ([50, 90, 60, 60], "flat"),
        ([50, 100, 60, 59], "flat"),  # still a little shorter, and by less than a tenth of the base's
        ([50, 50], "flat"),
        ([50, 30, 34], "flat"),  # by less than a tenth of the base's
        ([50, 30], "cannot tell"),  # from two points nothing says that it goes on
        ([50, 90, 60, 80], "re-growing"),
    ],
)
def test_lengths(tokens: Sequence[float], signal: str) -> None:
    accuracy = curve([0.5] * len(tokens))
    judgement = judge({"in_domain": axis(accuracy, curve(tokens))})
    assert judgement.axes[0].length == signal


def test_completions_that_still_get_shorter_are_too_early() -> None:
    judgement = judge({"in_domain": axis(curve([0.5, 0.5, 0.5]), curve([50, 90, 60]))})
    assert judgement.call == "too early to judge"
    assert judgement.reason == "in-domain completions still get shorter, which marks an unfinished training"


def test_nothing_to_judge_is_refused() -> None:
    with pytest.raises(InputError, match="no compared axis"):
        judge({})
    with pytest.raises(InputError, match="no compared axis"):
        judge({"in_domain": axis(curve([0.5]))})


def test_what_is_below_the_base_says_where_and_since_when() -> None:
    stayed = read_axis(curve([0.5, 0.32, 0.3, 0.31, 0.32, 0.32]))
    assert (stayed.label, stayed.trough, stayed.fell) == ("degraded", 2, 10)
    unknown = read_axis(curve([0.5, 0.3, 0.32, 0.35, 0.38, 0.37], problems=60))
    assert (unknown.label, unknown.trough, unknown.fell) == ("cannot tell", 1, 10)
    assert "climb" in unknown.rule
    lost = read_axis(curve([0.5, 0.6, 0.7, 0.4]))
    assert (lost.label, lost.trough, lost.fell) == ("degraded", 3, 40)
    assert read_axis(curve([0.5, 0.4, 0.3])).trough == 2
    assert read_axis(curve([0.5, 0.3, 0.7, 0.6])).trough == 1  # below its best now, and once below the base


def test_the_five_percent_are_shared_among_differences_and_axes() -> None:
    assert read_axis(curve([0.5, 0.522])).label == "improving"
    assert read_axis(curve([0.5, 0.522]), axes=4).label == "cannot tell"
    assert read_axis(curve([0.5, 0.522, 0.522])).label == "cannot tell"


def test_a_dip_of_which_the_end_is_open_is_still_one() -> None:
    opened = read_axis(curve([0.5, 0.4, 0.46], problems=30))
    assert (opened.label, opened.trough) == ("cannot tell", 1)


def test_level_with_the_base_but_not_with_the_checkpoint_before_is_open() -> None:
    assert read_axis(curve([0.5, 0.52, 0.5])).label == "cannot tell"


def test_two_problems_have_an_interval() -> None:
    change = curve([0.5, 0.6], problems=2).change(1)
    assert np.isfinite(change.low) and change.low <= 0
    assert read_axis(curve([0.5, 0.6], problems=2)).rule == "the intervals leave it open"


def test_a_stratum_of_one_problem_leaves_all_unknown() -> None:
    alone = curve_of_rates((0, 10), np.random.default_rng(0).uniform(size=(31, 2)), [*["many"] * 30, "one"])
    assert alone.freedom == 0 and read_axis(alone).label == "cannot tell"
    low, mid, high = alone.change(1)
    assert math.isnan(low) and mid == pytest.approx(alone.mean_T[1] - alone.mean_T[0]) and math.isnan(high)
    assert curve_of_rates((0, 10), np.eye(4)[:, :2], ["one", "one", "other", "other"]).freedom == 2


def test_problems_asked_in_part() -> None:
    # of two groups of 40 and 20 problems, 10 of each are asked in between; their changes differ by group
    rng = np.random.default_rng(4)
    rates_PT = rng.uniform(0.3, 0.7, size=(60, 3))
    rates_PT[10:40, 1] = rates_PT[50:, 1] = np.nan
    groups = [*["many"] * 40, *["few"] * 20]
    found = curve_of_rates((0, 10, 20), rates_PT, asked_of_P=groups)
    moved = [(rates_PT[part, 1] - rates_PT[part, 0]).mean() for part in (slice(0, 10), slice(40, 50))]
    base, _, last = rates_PT.mean(axis=0)
    assert found.mean_T == pytest.approx([base, base + (2 * moved[0] + moved[1]) / 3, last])
    assert found.differing_TT.tolist() == [[0, 20, 60], [20, 0, 20], [60, 20, 0]]
    assert found.freedom == 18
    # the part's own variance comes on top: of each group's share squared, 1/10 less 1/size
    changes = [np.var(rates_PT[part, 1] - rates_PT[part, 0], ddof=1) for part in (slice(0, 10), slice(40, 50))]
    extra = (2 / 3) ** 2 * (1 / 10 - 1 / 40) * changes[0] + (1 / 3) ** 2 * (1 / 10 - 1 / 20) * changes[1]
    spread = [np.var(rates_PT[part, 1], ddof=1) for part in (slice(0, 10), slice(40, 50))]
    means = [rates_PT[part, 0].mean() + one for part, one in zip((slice(0, 40), slice(40, 60)), moved, strict=True)]
    overall = (2 * means[0] + means[1]) / 3
    among = sum(
        share * (var + (mean - overall) ** 2) for share, var, mean in zip((2 / 3, 1 / 3), spread, means, strict=True)
    )
    assert found.cov_TT[1, 1] == pytest.approx(among / 60 + extra)
    # and of that checkpoint alone: elsewhere all were asked
    asked = [rates_PT[part] for part in (slice(0, 10), slice(40, 50))]
    whole = [rates_PT[part] for part in (slice(0, 40), slice(40, 60))]
    means_GT = np.array([[g[:, 0].mean(), mean, g[:, 2].mean()] for g, mean in zip(whole, means, strict=True)])
    off_GT = means_GT - found.mean_T
    shares = ((2 / 3, 0), (1 / 3, 1))
    among_TT = sum(share * (np.cov(asked[g], rowvar=False) + np.outer(off_GT[g], off_GT[g])) for share, g in shares)
    expected_TT = among_TT / 60 + extra * np.diag([0, 1, 0])
    assert found.cov_TT == pytest.approx(expected_TT)


def test_a_group_of_which_one_problem_was_asked_joins_the_largest() -> None:
    rates_PT = np.random.default_rng(5).uniform(size=(42, 3))
    rates_PT[41, 1] = np.nan  # of the last two, one is asked
    groups = [*["a"] * 20, *["b"] * 20, *["few"] * 2]
    joined = curve_of_rates((0, 10, 20), rates_PT, asked_of_P=groups)
    told = curve_of_rates((0, 10, 20), rates_PT, asked_of_P=[*["a"] * 20, *["b"] * 20, *["a"] * 2])
    assert joined.freedom == 39
    two_asked = np.insert(rates_PT, 40, 0.5, axis=0)
    assert curve_of_rates((0, 10, 20), two_asked, asked_of_P=[*groups, "few"]).freedom == 39  # three groups
    assert joined.mean_T == pytest.approx(told.mean_T) and joined.cov_TT == pytest.approx(told.cov_TT)


@pytest.mark.parametrize("scores", [(0.5, 1.2), (0.5, -0.1), (0.5,)])
def test_what_is_no_accuracy_is_refused(scores: Sequence[float]) -> None:
    with pytest.raises(InputError, match="one accuracy in") as refusal:
        curve_of_scores((0, 20), scores, problems=500)
    assert f"scores {list(scores)}" in str(refusal.value)


def test_none_and_all_are_accuracies() -> None:
    both = curve_of_scores((0, 20), (0.0, 1.0), problems=500)
    assert both.change(1).mid == 1.0 and both.problems == 500


def test_a_verdict_of_accuracies_alone() -> None:
    (general,) = judge({"general": AxisCurves(curve([0.5, 0.3]))}).axes
    assert (general.terminated, general.tokens, general.length, general.lengths) == (None, None, "cannot tell", {})


def test_the_call_is_that_of_in_domain() -> None:
    open_, settled = axis(curve([0.5, 0.48, 0.52], problems=20)), axis(curve([0.5, 0.7, 0.7]))
    assert judge({"general": open_, "in_domain": settled}).call == "done"
    judgement = judge({"general": settled, "in_domain": open_})
    assert (judgement.call, judgement.reason) == ("cannot tell", "in-domain: the intervals leave it open")


def test_a_fresh_fall_is_given_as_long_as_published_ones_took() -> None:
    judgement = judge({"general": axis(curve([0.5, 0.3]))})
    assert (judgement.call, judgement.until) == ("too early to judge", 80)


def test_too_early_names_every_axis_that_dips() -> None:
    told = "below the base as in a dip, of which published ones were made good later"
    dips = axis(curve([0.5, 0.3]))
    assert judge({"general": dips}).reason == f"general is {told}"
    assert judge({"general": dips, "safety": dips}).reason == f"general and safety are {told}"


def test_a_verdict_carries_its_numbers() -> None:
    accuracy, tokens, half = curve([0.5, 0.3, 0.6]), curve([50, 90, 60]), curve([0.4, 0.3, 0.7])
    judgement = judge({"general": AxisCurves(accuracy, still(1.0, accuracy), tokens, parts={"refuses": half})})
    (general,) = judgement.axes
    assert (general.base_value, general.value, general.step) == (pytest.approx(0.5), pytest.approx(0.6), 20)
    assert (general.problems, general.terminated) == (200, still(1.0, accuracy).change(2))
    assert general.tokens == tokens.change(2) and general.parts == {"refuses": half.change(2)}
    assert general.label == "recovered" and general.back is None


def test_when_it_is_back_is_the_same_every_time() -> None:
    dipped = axis(curve([0.5, 0.2, 0.3, 0.4]))
    assert judge({"general": dipped}).axes[0].back == judge({"general": dipped}).axes[0].back


def test_in_domain_that_still_rises_is_too_early() -> None:
    judgement = judge({"in_domain": axis(curve([0.3, 0.5, 0.7]))})
    assert (judgement.call, judgement.until) == ("too early to judge", None)
    assert judgement.reason == "in-domain still rises from checkpoint to checkpoint"
    assert judge({"in_domain": axis(curve([0.3, 0.6, 0.61]))}).call == "done"
    assert judge({"general": axis(curve([0.3, 0.5, 0.7]))}).call == "done"
    alone = judge({"in_domain": axis(curve([0.3, 0.5]))})  # of one checkpoint nothing says that it goes on
    assert (alone.call, alone.reason) == ("done", "in-domain is improving, and no axis dips")


def test_done_names_the_axes_that_are_lost() -> None:
    lost = axis(curve([0.5, 0.3, 0.3, 0.3, 0.3, 0.3]))
    judgement = judge({"in_domain": axis(curve([0.5, 0.7, 0.7, 0.7, 0.7, 0.7])), "general": lost, "safety": lost})
    assert judgement.reason == "in-domain is settled, and no axis dips; general and safety degraded"


def test_what_fell_beside_safety_is_no_cost_in_safety() -> None:
    level, fallen = axis(curve([0.5, 0.5, 0.5])), axis(curve([0.5, 0.3, 0.3]))
    judgement = judge({"in_domain": axis(curve([0.5, 0.7, 0.7])), "general": fallen, "safety": level})
    assert not judgement.cost and not judgement.remedies


def test_a_gain_beside_reasoning_is_none_that_safety_paid_for() -> None:
    level, risen, fallen = (axis(curve(means)) for means in ([0.5, 0.5, 0.5], [0.5, 0.7, 0.7], [0.9, 0.6, 0.6]))
    assert not judge({"in_domain": level, "general": risen, "safety": fallen}).cost


def test_where_the_base_is_best_over_all_axes_none_is_to_be_taken() -> None:
    judgement = judge({"in_domain": axis(curve([0.5, 0.55, 0.3])), "general": axis(curve([0.7, 0.3, 0.3]))})
    assert judgement.axes[0].peaked and judgement.call != "overfitting"


def test_length_of_one_problem_tells_nothing() -> None:
    judgement = judge({"in_domain": axis(curve([0.5, 0.5]), curve([50, 90], problems=1))})
    assert judgement.axes[0].length == "cannot tell"


def test_errors_that_are_known_are_taken() -> None:
    known = curve_of_scores((0, 20), (0.5, 0.6), problems=100, errors=(0.01, 0.02))
    assert np.diag(known.cov_TT) == pytest.approx([1e-4, 4e-4]) and known.freedom == 99
    assert np.diag(curve_of_scores((0, 20), (0.5, 0.6), problems=100).cov_TT) == pytest.approx([2.5e-3, 2.4e-3])
    none_and_all = curve_of_scores((0, 20), (0.0, 1.0), problems=100)
    assert np.diag(none_and_all.cov_TT) == pytest.approx([(1 / 102) * (101 / 102) / 102] * 2)


def test_the_error_of_two_strata_is_that_of_their_halves() -> None:
    rates_PT = np.random.default_rng(6).uniform(size=(50, 2))
    both = curve_of_rates((0, 10), rates_PT, [*["one"] * 30, *["other"] * 20])
    parts = [curve_of_rates((0, 10), part) for part in (rates_PT[:30], rates_PT[30:])]
    assert both.cov_TT == pytest.approx(sum(part.cov_TT for part in parts) / 4) and both.freedom == 48


def test_rates_that_do_not_fit_the_checkpoints_are_refused() -> None:
    with pytest.raises(InputError, match=r"rates of shape \(5, 3\) for 2 checkpoints"):
        curve_of_rates((0, 10), np.zeros((5, 3)))


def test_a_fall_of_one_axis_alone_is_none_of_four_together() -> None:
    open_, level = axis(curve([0.5, 0.478])), axis(curve([0.5, 0.5]))
    alone = judge({"in_domain": open_})
    four = judge({"in_domain": open_, "out_of_domain": level, "general": level, "safety": level})
    assert alone.call == "too early to judge" and alone.axes[0] == four.axes[0]
    assert four.call == "cannot tell" and "leave it open (dipping by itself" in four.reason


def test_what_does_not_climb_is_never_back() -> None:
    dipped = curve([0.5, 0.2, 0.3, 0.4])
    assert back_at(dipped, 2) is not None
    assert back_at(dipped, 3) is None and back_at(dipped, 0) is None
    assert back_at(curve([0.5, 0.4, 0.3, 0.2]), 1) is None


def test_the_last_checkpoint_needs_no_naming() -> None:
    lost, won = axis(curve([0.5, 0.3, 0.3, 0.3, 0.3, 0.3])), axis(curve([0.1, 0.3, 0.5, 0.6, 0.7, 0.9]))
    judgement = judge({"in_domain": lost, "general": won})
    assert (judgement.call, judgement.take) == ("done", None)


def half(like: Curve, later: int, earlier: int = 0, *, tests: int = 1, alpha: float = ALPHA / 3) -> float:
    """Half of an interval, which does not depend on the means."""
    low, _, high = like.change(later, earlier, tests=tests, alpha=alpha)
    return (high - low) / 2


@pytest.mark.parametrize(("times", "clear"), [(0.99, False), (1.01, True)])
def test_differences_that_are_picked_are_widened_together(times: float, clear: bool) -> None:
    level = curve([0.5] * 5)
    fall = times * half(level, 1, tests=3)
    assert (read_axis(curve([0.5, 0.5 - fall, 0.5, 0.5, 0.5])).trough is not None) == clear
    slip = times * half(level, 4, 2, tests=3)
    assert (read_axis(curve([0.5, 0.55, 0.6, 0.55, 0.6 - slip])).rule == "below its own best checkpoint") == clear
    for count in (2, 3):
        base = curve([50] * count)
        growth = 5 + times * half(base, count - 1, tests=count - 1, alpha=ALPHA)
        found = judge({"general": axis(curve([0.5] * count), curve([*[50] * (count - 1), 50 + growth]))})
        assert (found.axes[0].length == "surging") == clear


def test_less_than_half_of_a_fall_made_good_is_no_recovery() -> None:
    few = half(curve([0.5, 0.5, 0.5], problems=30), 2)
    reading = read_axis(curve([0.5, 0.5 - 2.4 * few, 0.5 - 0.9 * few], problems=30))
    assert (reading.label, reading.trough) == ("cannot tell", 1)
    assert read_axis(curve([0.5, 0.5 - 4 * few, 0.5 - 0.9 * few], problems=30)).label == "recovered"


def test_a_small_half_with_most_of_the_variance_has_its_own_freedom() -> None:
    rng = np.random.default_rng(7)
    rates_PT = rng.integers(0, 2, size=(105, 2)).astype(float)
    changes_P = rates_PT[:, 1] - rates_PT[:, 0]
    low, mid, high = curve_of_rates((0, 10), rates_PT, [*["refuse"] * 100, *["answer"] * 5]).change(1)
    # the mean of two halves is half of a difference of means, of which Welch's interval is known
    welch = ttest_ind(changes_P[:100], -changes_P[100:], equal_var=False).confidence_interval()
    assert (2 * low, 2 * high) == pytest.approx((welch.low, welch.high))
    assert mid == pytest.approx((changes_P[:100].mean() + changes_P[100:].mean()) / 2)


def test_a_small_half_gives_no_more_false_verdicts_than_promised() -> None:
    rng, kinds = np.random.default_rng(8), [*["refuse"] * 300, *["answer"] * 5]
    level = [curve_of_rates((0, 10), rng.binomial(4, 0.5, size=(305, 2)) / 4, kinds) for _ in range(600)]
    assert np.mean([read_axis(one).label != "cannot tell" for one in level]) < 0.06  # .107 with all problems' freedom


def test_where_in_domain_is_withheld_no_other_axis_says_that_it_is_done() -> None:
    risen, why = curve([0.5, 0.7]), "more than a tenth could not be graded"
    judgement = judge({"in_domain": axis(risen, withheld=why), "general": axis(risen)})
    assert (judgement.call, judgement.reason) == ("cannot tell", f"in-domain: {why}")
    assert judge({"general": axis(risen)}).call == "done"


def test_a_cost_is_said_at_the_level_of_the_labels() -> None:
    risen = axis(curve([0.5, 0.7, 0.7]))
    slightly = next(
        fallen
        for depth in np.linspace(0.002, 0.05, 200)
        if (fallen := curve([0.9, 0.9, 0.9 - depth])).change(2).high < 0 and read_axis(fallen).label != "dipping"
    )
    judgement = judge({"in_domain": risen, "safety": axis(slightly)})
    assert judgement.axes[1].label == "cannot tell" and judgement.axes[1].accuracy.high < 0
    assert not judgement.cost


def test_axes_of_different_checkpoints_are_refused() -> None:
    axes = {"in_domain": axis(curve([0.5, 0.7])), "safety": axis(curve([0.9, 0.9, 0.9]))}
    with pytest.raises(InputError, match="in-domain has checkpoints 0, 10, safety has 0, 10, 20"):
        judge(axes)


@pytest.mark.parametrize("right", [4, 5])
def test_scores_of_few_right_answers_tell_nothing(right: int) -> None:
    found = curve_of_scores((0, 100), (0.0, right / 30), problems=30, errors=(0.0, 0.0631))
    assert found.differing_TT[1, 0] == right and read_axis(found).label == "cannot tell"
    mirrored = curve_of_scores((0, 100), (1.0, 1 - right / 30), problems=30)
    assert mirrored.differing_TT[1, 0] == right and read_axis(mirrored).label == "cannot tell"


def test_a_score_of_nothing_right_has_an_error() -> None:
    found = curve_of_scores((0, 100), (0.0, 0.25), problems=30, errors=(0.0, 0.08))
    assert np.diag(found.cov_TT) == pytest.approx([1 / 32 * 31 / 32 / 32, 0.08**2])
    assert read_axis(found).label == "improving" and found.differing_TT[1, 0] == 7
