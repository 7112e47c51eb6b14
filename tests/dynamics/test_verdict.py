from __future__ import annotations

from collections.abc import Sequence

import pytest

from titer.dynamics.verdict import judge
from titer.errors import InputError
from titer.records.results import Call, Difference, Interval, Label, Measure


def difference(measure: Measure, change: float, *, width: float = 0.02, axis: str = "ood") -> Difference:
    interval = Interval(change - width, change, change + width)
    call: Call = "cannot tell"
    if interval.excludes_zero:
        call = "better" if change > 0 else "worse"
    return Difference(
        base="base",
        other="trained",
        level="axis",
        axis=axis,
        suite="",
        measure=measure,
        base_value=0.5,
        other_value=0.5 + change,
        change=interval,
        problems=100,
        differing=40,
        better=call,
    )


def checkpoint(accuracy: float, terminated: float = 0.0, axis: str = "ood") -> list[Difference]:
    return [
        difference("accuracy", accuracy, axis=axis),
        difference("terminated", terminated, axis=axis),
        difference("tokens", 30.0, axis=axis),
    ]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ([checkpoint(0.1)], "improved"),
        ([checkpoint(0.1), checkpoint(0.11)], "improved"),
        ([checkpoint(0.05), checkpoint(0.11)], "improving"),
        ([checkpoint(-0.1), checkpoint(0.1)], "dipped then recovered"),
        ([checkpoint(-0.1), checkpoint(0.0)], "dipped then recovered"),
        ([checkpoint(-0.1)], "degraded"),
        ([checkpoint(-0.1, terminated=-0.2)], "dipping"),
        ([checkpoint(-0.2, terminated=-0.3), checkpoint(-0.1, terminated=-0.1)], "dipping"),
        ([checkpoint(-0.3, terminated=-0.1)], "degraded"),
        ([checkpoint(0.1), checkpoint(-0.1, terminated=-0.2)], "degraded"),
        ([checkpoint(0.01)], "cannot tell"),
        ([checkpoint(0.1), checkpoint(0.01)], "cannot tell"),
    ],
)
def test_labels(path: Sequence[list[Difference]], label: Label) -> None:
    (verdict,) = judge({10 * 2**i: differences for i, differences in enumerate(path)})
    assert verdict.label == label


def test_a_verdict_states_its_rule_and_its_numbers() -> None:
    (verdict,) = judge({640: checkpoint(0.1, terminated=-0.03), 20: checkpoint(-0.1)})
    assert (verdict.step, verdict.problems) == (640, 100)
    assert verdict.accuracy == (pytest.approx(0.08), 0.1, pytest.approx(0.12))
    assert verdict.terminated.mid == -0.03
    assert verdict.tokens.mid == 30.0
    assert list(verdict.path) == [20, 640]
    assert verdict.path[20].mid == -0.1
    assert "earlier checkpoint is below" in verdict.rule


def test_each_axis_is_judged_by_itself() -> None:
    last = [*checkpoint(0.1, axis="in_domain"), *checkpoint(-0.1, axis="safety")]
    assert {v.axis: v.label for v in judge({80: last})} == {"in_domain": "improved", "safety": "degraded"}


def test_an_axis_that_an_earlier_checkpoint_lacks_is_judged_by_the_rest() -> None:
    last = [*checkpoint(0.1, axis="in_domain"), *checkpoint(0.0, axis="safety")]
    verdicts = {v.axis: v for v in judge({20: checkpoint(-0.1, axis="in_domain"), 80: last})}
    assert verdicts["in_domain"].label == "dipped then recovered"
    assert list(verdicts["safety"].path) == [80]


@pytest.mark.parametrize("nothing", [{}, {80: []}])
def test_nothing_to_judge_is_refused(nothing: dict[int, list[Difference]]) -> None:
    with pytest.raises(InputError, match="no compared axis"):
        judge(nothing)
