"""What one report shows. Nothing here reads a file: whoever makes a `ReportData` has the tables already.

    data = ReportData(title="quickstart", suites=summaries, differences=differences, judgement=judgement)
    Path("report.html").write_text(render(data), encoding="utf-8")

Every part may be empty, and is then left out of the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from titer.records.results import Difference, Interval, Judgement, SuiteSummary, Verdict
from titer.records.schema import Decision, Rollout, Trace

Outcome = Literal["gained", "lost", "both wrong"]
More = Literal["A more", "B more", "cannot tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRow:
    """One optimizer step. `loss` and `token_accuracy` (in [0, 1]) are the training batch's own.

    By kind of step ("": outside of steps), over equal bins of the token's probability p from 0 to 1: how many `tokens`
    were trained on, and the sum of their `pull`, w·(1 − p). Both are empty in logs that do not have them.
    """

    step: int
    epoch: float
    loss: float
    token_accuracy: float
    lr: float
    tokens: Mapping[str, Sequence[float]] = field(default_factory=dict)
    pull: Mapping[str, Sequence[float]] = field(default_factory=dict)


class RewardRow(NamedTuple):
    """The mean reward of the rollouts of RL's update `step`."""

    step: int
    reward: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow:
    """Token accuracy in [0, 1] and loss on the fixed training subset, or on unseen traces, after `step` updates."""

    step: int
    token_accuracy: float
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationCounts:
    """How many traces were kept, and how many were dropped for which reason."""

    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadStep:
    """A piece of a trace: what it does, and the line of attack it is in (0: the trunk).

    `dead` says that the answer does not rest on that line.
    """

    text: str
    behaviour: str
    line: int = 0
    dead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceToRead:
    """A trace to show: what is read of it cut into `steps`, and why it was dropped ("" for a kept one)."""

    trace: Trace
    steps: Sequence[ReadStep]
    dropped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePair:
    """One problem as two teachers solved it."""

    problem_id: str
    prompt: str
    left: TraceToRead
    right: TraceToRead


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRow:
    """One feature of two teachers: their means, and the 95 % interval of a − b, paired over problems.

    `share` says that the numbers are shares in [0, 1]. `problems` counts those that have the feature (0: all of them).
    """

    name: str
    description: str
    a: float
    b: float
    low: float
    mid: float
    high: float
    share: bool = False
    problems: int = 0

    @property
    def change(self) -> Interval:
        """a − b, in the feature's own unit."""
        return Interval(self.low, self.mid, self.high)

    @property
    def relative(self) -> Interval:
        """a − b in units of the mean of both: comparable from feature to feature. nan where both are zero."""
        middle = (abs(self.a) + abs(self.b)) / 2
        return Interval(*(end / middle if middle else math.nan for end in self.change))

    @property
    def more(self) -> More:
        """Which teacher has more of it; "cannot tell" unless the interval excludes zero."""
        if not self.change.excludes_zero:
            return "cannot tell"
        return "A more" if self.mid > 0 else "B more"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherComparison:
    """Teachers `a` and `b` on `problems` of the `shared` problems that both have traces of.

    `transitions_a["propose"]["deduce"]` is the share of a's proposals that a deduction follows. `correct_a` is the
    share of a's graded traces of shared problems that are right (nan: none is graded). `lengths` are a's and b's mean
    steps of each problem. `note` says what was left out.
    """

    a: str
    b: str
    problems: int
    shared: int
    rows: Sequence[FeatureRow]
    transitions_a: Mapping[str, Mapping[str, float]]
    transitions_b: Mapping[str, Mapping[str, float]]
    correct_a: float = math.nan
    correct_b: float = math.nan
    lengths: Sequence[tuple[float, float]] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One problem as base and trained model answered it: one rollout of each, and both solve rates in [0, 1]."""

    outcome: Outcome
    base: Rollout
    trained: Rollout
    base_rate: float
    trained_rate: float
    answer: str = ""


class MovedProblem(NamedTuple):
    """A problem with its solve rate in [0, 1] at an earlier and at a later checkpoint."""

    suite: str
    problem_id: str
    prompt: str
    before: float
    after: float


class Moves(NamedTuple):
    """Problems of an axis that an update `later` solves and `earlier` does not, and the other way round, the largest
    changes first, of the `problems` that both were asked."""

    earlier: int
    later: int
    axis: str
    problems: int
    gained: Sequence[MovedProblem]
    lost: Sequence[MovedProblem]


class RecipeChange(NamedTuple):
    """A key of the recipe that two runs have different values of; None where a run does not have it."""

    key: str
    a: Any
    b: Any


class DecisionChange(NamedTuple):
    """A question that two runs decided differently; None where a run did not meet it."""

    stage: str
    question: str
    a: Decision | None
    b: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoRuns:
    """Two finished runs held against each other: their trained models, `A` and `B`, on the problems both evaluated.

    `a` and `b` say which runs they are. `differences` are B − A. `parts` holds, by axis, the changes of the halves that
    an axis is the mean of. `moves` are the problems gained and lost from A to B, one an axis; `pairs` some of them with
    a rollout of each. `notes` say what stands in the way of a plain reading: other sampling, what only one of them has.
    """

    a: str
    b: str
    recipe: Sequence[RecipeChange] = ()
    decisions: Sequence[DecisionChange] = ()
    suites: Sequence[SuiteSummary] = ()
    differences: Sequence[Difference] = ()
    parts: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    moves: Sequence[Moves] = ()
    pairs: Sequence[Pair] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage of the run: its wall time in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What made the run. `recipe` is the resolved recipe as YAML."""

    stages: Sequence[StageRow] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    device: str = ""
    recipe: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """One run's report. `headline` is a few named facts for the top; `checkpoints` maps a step to its scores.
    Steps count the updates of all trainings, `rewards` are those of RL.
    `endpoint` is the probe at which the rule of the training's end fired. `unseen` are probes on traces that were not
    trained on.

    `moves` are the problems that were gained and lost between checkpoints.

    `behaviours` says what each behaviour of a step means. `traces` are read alone, `trace_pairs` side by side.
    """

    title: str
    headline: Mapping[str, Any] = field(default_factory=dict)
    judgement: Judgement | None = None
    decisions: Sequence[Decision] = ()
    suites: Sequence[SuiteSummary] = ()
    differences: Sequence[Difference] = ()
    training: Sequence[TrainRow] = ()
    rewards: Sequence[RewardRow] = ()
    probes: Sequence[ProbeRow] = ()
    endpoint: ProbeRow | None = None
    unseen: Sequence[ProbeRow] = ()
    checkpoints: Mapping[int, Sequence[SuiteSummary]] = field(default_factory=dict)
    curation: CurationCounts | None = None
    teachers: TeacherComparison | None = None
    behaviours: Mapping[str, str] = field(default_factory=dict)
    traces: Sequence[TraceToRead] = ()
    trace_pairs: Sequence[TracePair] = ()
    pairs: Sequence[Pair] = ()
    moves: Sequence[Moves] = ()
    manifest: Manifest | None = None

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """The axes' verdicts."""
        return self.judgement.axes if self.judgement else ()
