"""What one report shows. Nothing here reads a file: whoever makes a `ReportData` has the tables already.

    data = ReportData(title="quickstart", suites=summaries, differences=differences, verdicts=verdicts)
    Path("report.html").write_text(render(data), encoding="utf-8")

Every part may be empty, and is then left out of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from titer.records.results import Difference, SuiteSummary, Verdict
from titer.records.schema import Decision, Rollout, Trace

Outcome = Literal["gained", "lost", "both wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRow:
    """One optimizer step. `loss` and `token_accuracy` (in [0, 1]) are the training batch's own."""

    step: int
    epoch: float
    loss: float
    token_accuracy: float
    lr: float
    grad_norm: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow:
    """Token accuracy in [0, 1] and loss on the fixed training subset, measured at one checkpoint."""

    step: int
    token_accuracy: float
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curation:
    """How many traces were kept, and how many were dropped for which reason."""

    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceToRead:
    """A trace to show: its reasoning cut into `steps`, and why it was dropped ("" for a kept one)."""

    trace: Trace
    steps: Sequence[str]
    dropped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One problem as base and trained model answered it: one rollout of each, and both solve rates in [0, 1]."""

    outcome: Outcome
    base: Rollout
    trained: Rollout
    base_rate: float
    trained_rate: float
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage of the run: its wall time in seconds, and whether its result was taken from an earlier run."""

    name: str
    seconds: float
    reused: bool = False


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
    """One run's report. `headline` is a few named facts for the top; `checkpoints` maps a step to its scores."""

    title: str
    headline: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    decisions: Sequence[Decision] = ()
    suites: Sequence[SuiteSummary] = ()
    differences: Sequence[Difference] = ()
    training: Sequence[TrainRow] = ()
    probes: Sequence[ProbeRow] = ()
    checkpoints: Mapping[int, Sequence[SuiteSummary]] = field(default_factory=dict)
    curation: Curation | None = None
    traces: Sequence[TraceToRead] = ()
    pairs: Sequence[Pair] = ()
    manifest: Manifest | None = None
