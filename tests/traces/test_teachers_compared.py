from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from titer.errors import InputError
from titer.records import Trace
from titer.traces import BEHAVIOURS, FEATURES, compare
from titer.traces.compare import transition_rows


def trace(teacher: str, problem: str, reasoning: str, **fields: object) -> Trace:
    return Trace(  # type: ignore[arg-type]
        id=f"{teacher}/{problem}/{len(reasoning)}",
        problem_id=problem,
        prompt="?",
        teacher=teacher,
        reasoning=reasoning,
        **{"response": "42", "correct": True, **fields},
    )


def pair(problem: str, a: int, b: int) -> list[Trace]:
    """Two teachers' traces of so many steps."""
    return [
        trace("deepseek/R1-Distill", problem, "It is odd. " * a),
        trace("openai/gpt-oss-20b", problem, "It is odd. " * b),
    ]


def test_pairs_shared_problems_only() -> None:
    traces = [
        *pair("p", 4, 2),
        *pair("q", 9, 3),
        trace("deepseek/R1-Distill", "alone", "It is odd. " * 500),
        trace("openai/gpt-oss-20b", "other", "It is odd. " * 700),
        trace("human", "p", "It is odd. " * 900),
    ]
    found = compare(traces, a="r1", b="OSS")
    steps = found.features["steps"]
    assert (found.a, found.b, found.problems, found.shared) == ("deepseek/R1-Distill", "openai/gpt-oss-20b", 2, 2)
    assert (steps.a, steps.b, steps.difference[1], steps.problems) == (6.5, 2.5, 4.0, 2)
    assert steps.difference[0] == 2.0 and steps.difference[2] == 6.0  # of two problems, the extremes
    assert tuple(found.features) == FEATURES


def test_a_problem_with_several_traces_counts_by_their_mean() -> None:
    traces = [*pair("p", 4, 2), *pair("q", 9, 3), trace("deepseek/R1-Distill", "p", "It is odd. " * 6)]
    assert compare(traces, a="R1", b="oss").features["steps"].a == (5 + 9) / 2


def test_a_part_that_fits_several_takes_them_as_one() -> None:
    traces = [trace("R1-7B", "p", "It is odd. "), trace("R1-32B", "p", "It is odd. " * 3), trace("oss", "p", "So. ")]
    found = compare(traces, a="R1", b="oss")
    assert found.a == "R1-32B, R1-7B" and found.features["steps"].a == 2
    assert compare([*traces, trace("R1", "p", "So. " * 9)], a="R1", b="oss").features["steps"].a == 9  # a whole name


def test_only_what_both_solved() -> None:
    wrong = trace("deepseek/R1-Distill", "p", "It is odd. " * 50, correct=False)
    cut = trace("deepseek/R1-Distill", "p", "It is odd. " * 60, truncated=True)
    lost = [trace("deepseek/R1-Distill", "w", "So. ", correct=False), trace("openai/gpt-oss-20b", "w", "So. ")]
    unknown = [trace("deepseek/R1-Distill", "u", "So. ", correct=None), trace("openai/gpt-oss-20b", "u", "So. ")]
    found = compare([*pair("p", 4, 2), wrong, cut, *lost, *unknown], a="R1", b="oss")
    assert (found.problems, found.shared) == (2, 3)
    assert found.features["steps"].a == (4 + 1) / 2
    assert found.correct == (pytest.approx(2 / 4), 1.0)  # of the graded ones, the cut one included
    everything = compare([*pair("p", 4, 2), wrong, cut, *lost, *unknown], a="R1", b="oss", only="all")
    assert everything.problems == 3
    assert everything.features["steps"].a == pytest.approx(((4 + 50 + 60) / 3 + 1 + 1) / 3)


def many(a: Sequence[int], b: Sequence[int]) -> list[Trace]:
    return [one for i, (x, y) in enumerate(zip(a, b, strict=True)) for one in pair(str(i), x, y)]


def test_the_interval_excludes_zero_when_it_should() -> None:
    rng = np.random.default_rng(5)
    base = rng.integers(5, 40, 60)
    better = compare(many(base + rng.integers(0, 4, 60), base), a="R1", b="oss").features["steps"].difference
    same = compare(many(base + rng.integers(-2, 3, 60), base), a="R1", b="oss").features["steps"].difference
    assert 0 < better[0] < better[1] < better[2] < 3
    assert same[0] < 0 < same[2]
    # pairing: problems differ far more than teachers do, and the interval does not care
    assert better[2] - better[0] < 1


def test_the_interval_is_the_bootstrap_s() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(2, 30, 200), rng.integers(2, 30, 200)
    low, mid, high = compare(many(a, b), a="R1", b="oss").features["steps"].difference
    error = (a - b).std(ddof=1) / math.sqrt(200)
    assert mid == pytest.approx((a - b).mean())
    assert (mid - low, high - mid) == (pytest.approx(1.96 * error, rel=0.1), pytest.approx(1.96 * error, rel=0.1))


def test_a_seed_gives_the_same_interval() -> None:
    traces = many(range(3, 33), range(32, 2, -1))
    one, again, other = (compare(traces, a="R1", b="oss", seed=seed) for seed in (0, 0, 1))
    assert one.features == again.features or all(
        np.array_equal(one.features[n].difference, again.features[n].difference, equal_nan=True) for n in FEATURES
    )
    assert one.features["steps"].difference != other.features["steps"].difference


def test_features_without_a_value_are_compared_where_both_have_one() -> None:
    traces = [
        trace("R1", "p", "Perhaps a. Perhaps b. It is odd."),
        trace("oss", "p", "Perhaps a. It is odd."),
        trace("R1", "q", "Perhaps a. Perhaps b. It is odd."),
        trace("oss", "q", "It is odd. It is."),  # proposes nothing
    ]
    found = compare(traces, a="R1", b="oss")
    assert found.features["propose_to_propose"].problems == 1 and found.features["steps"].problems == 2
    low, middle, high = found.features["propose_to_propose"].difference
    assert middle == 0.5 and math.isnan(low) and math.isnan(high)  # one problem is no sample
    nothing = compare(pair("p", 1, 1), a="R1", b="oss").features["propose_to_propose"]
    assert nothing.problems == 0 and math.isnan(nothing.a) and all(map(math.isnan, nothing.difference))


def test_transitions_are_shares_of_rows() -> None:
    traces = [trace("R1", "p", "Perhaps a. Perhaps b. It is odd. It is."), trace("oss", "p", "It is odd.")]
    mine, theirs = (transition_rows(shares) for shares in compare(traces, a="R1", b="oss").transitions)
    assert mine["propose"] == dict.fromkeys(BEHAVIOURS, 0.0) | {"propose": 0.5, "deduce": 0.5}
    assert mine["deduce"]["deduce"] == 1.0
    assert all(share == 0 for row in theirs.values() for share in row.values())


def test_more_columns_can_be_given() -> None:
    def extra(traces: Sequence[Trace]) -> dict[str, np.ndarray]:
        return {"thirds": np.array([len(trace.reasoning) / 33 for trace in traces])}

    found = compare([*pair("p", 6, 3), *pair("q", 9, 3)], a="R1", b="oss", extra=extra)
    assert [*found.features] == [*FEATURES, "thirds"]
    assert (found.features["thirds"].a, found.features["thirds"].b) == (2.5, 1.0)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ("nobody", "oss", "there are: deepseek/R1-Distill, openai/gpt-oss-20b"),
        ("R1", "distill", "both fit 'deepseek/R1-Distill'"),
        ("R1", "", "both fit"),
    ],
)
def test_names_that_do_not_fit_are_refused(a: str, b: str, says: str) -> None:
    with pytest.raises(InputError, match="(?s).*") as caught:
        compare(pair("p", 1, 2), a=a, b=b)
    assert says in str(caught.value) and caught.value.field == "teacher"


def test_nothing_shared_is_refused() -> None:
    apart = [trace("R1", "p", "So. "), trace("oss", "q", "So. ")]
    with pytest.raises(InputError, match="share no problem that both solved"):
        compare(apart, a="R1", b="oss")
    with pytest.raises(InputError, match="share no problem;|share no problem$|share no problem[^ ]|share no problem "):
        compare(apart, a="R1", b="oss", only="all")
    with pytest.raises(InputError, match="no trace names its teacher"):
        compare([trace("", "p", "So. ")], a="R1", b="oss")
