"""What evaluating, comparing and judging come to: the tables that `evaluate` and `dynamics` hand to the report.

summary.accuracy.mid, summary.accuracy.low, summary.accuracy.high
difference.change.excludes_zero
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Measure = Literal["accuracy", "terminated", "parsed", "accuracy_given_parsed", "tokens"]
Call = Literal["better", "worse", "longer", "shorter", "cannot tell"]
Label = Literal["improving", "dipping", "recovered", "settled", "degraded", "cannot tell"]
LengthSignal = Literal["surging", "contracting", "flat", "re-growing", "cannot tell"]
Overall = Literal["too early to judge", "done", "overfitting", "cannot tell"]

# With fewer problems that differ, not even all of them falling one way reaches 5 % in an exact two-sided
# sign-flip test: 2 / 2**5 = .0625. The bootstrap alone would call four.
FEWEST_DIFFERING: Final = 6


class Interval(NamedTuple):
    """An estimate `mid` between the ends of its 95 % interval; an end that nothing is known of is nan."""

    low: float
    mid: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside. False where an end is unknown."""
        return self.low > 0 or self.high < 0

    def with_differing(self, count: int) -> Interval:
        """The interval where so many problems differ: below six it is wide enough to hold zero."""
        if count >= FEWEST_DIFFERING:
            return self
        half = abs(self.mid)
        return Interval(min(self.low, self.mid - half), self.mid, max(self.high, self.mid + half))


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSummary:
    """How one model did on one suite. Rates are in [0, 1], `tokens` is the mean length of a completion.

    `accuracy` is avg@k. `accuracy == parsed * accuracy_given_parsed` holds for the `mid`s (nothing parsed:
    `accuracy_given_parsed` is nan). `pass_at` maps k to pass@k. `samples` counts all rollouts, `ungraded`
    names those that could not be graded and so count neither as right nor as wrong. `guess_at` is what guessing comes
    to at each k (`titer.evaluate.guessing`); empty where there is nothing to guess from.
    """

    model: str
    suite: str
    axis: str
    problems: int
    samples: int
    accuracy: Interval
    pass_at: Mapping[int, float]
    terminated: Interval
    parsed: Interval
    accuracy_given_parsed: Interval
    tokens: Interval
    ungraded: tuple[str, ...] = ()
    guess_at: Mapping[int, float] = field(default_factory=dict)

    @property
    def samples_per_problem(self) -> float:
        """Mean number of rollouts per problem: the k of avg@k."""
        return self.samples / self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`other` minus `base` in one measure, over the problems that both answered, with a paired interval.

    `level` says whether the problems are one suite's or all of an axis (`suite` is then ""). `differing` counts
    the problems on which the two are not level; `left_out` names those that only one of the two has graded.
    `mediated` is the share of a change in accuracy that is not a change among the parsed answers: what came of ending
    and answering at all. None where the change cannot be told from zero, and for other measures.
    """

    base: str
    other: str
    level: Literal["suite", "axis"]
    axis: str
    suite: str
    measure: Measure
    base_value: float
    other_value: float
    change: Interval
    problems: int
    differing: int
    better: Call
    left_out: tuple[str, ...] = ()
    mediated: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one axis, by which rule, from which numbers.

    Accuracy is `base_value` at the base and `value` at the last checkpoint, `step`; `accuracy` is that change, `parts`
    the changes of the halves that it is the mean of (refusing, and answering look-alikes); `path` holds the change at
    every evaluated checkpoint. `terminated` and `tokens` are the changes of the share of completions that end by
    themselves and of their length (None: not known), `length` how the length went over the checkpoints. `trough` is the
    update of the lowest checkpoint below the base, None without a dip; `fell` that by which an axis that is below had
    fallen; `peaked` whether an earlier checkpoint was better; `back` the update at which a climbing axis should be back
    at the base; `made_good` that of the first checkpoint at which a recovered axis had made good half of its fall.
    `lengths` and `ended` hold the mean tokens of a completion and the share of those that end, base included.
    `withheld` says why no verdict is given, where none is.
    """

    axis: str
    label: Label
    rule: str
    step: int
    problems: int
    base_value: float
    value: float
    accuracy: Interval
    terminated: Interval | None
    tokens: Interval | None
    length: LengthSignal
    parts: Mapping[str, Interval] = field(default_factory=dict)
    path: Mapping[int, Interval] = field(default_factory=dict)
    trough: int | None = None
    peaked: bool = False
    fell: int | None = None
    made_good: int | None = None
    lengths: Mapping[int, float] = field(default_factory=dict)
    ended: Mapping[int, float] = field(default_factory=dict)
    back: Interval | None = None
    withheld: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All axes together: what to do now.

    `cost` says what was paid for what was gained, and comes first where it is not empty. `take` is the update of the
    checkpoint to take, 0 the base, None for the last; `until` the update before which it is too early to judge.
    """

    call: Overall
    reason: str
    axes: tuple[Verdict, ...]
    cost: str = ""
    remedies: tuple[str, ...] = ()
    take: int | None = None
    until: int | None = None
