"""Scores with intervals, and paired comparison."""

from titer.evaluate.compare import compare
from titer.evaluate.guessing import guessing, with_guessing
from titer.evaluate.metrics import Counts, count, pass_at_k, summarise
from titer.evaluate.passes import change_in_pass
from titer.records.results import Difference, Interval, SuiteSummary

__all__ = [
    "Counts",
    "Difference",
    "Interval",
    "SuiteSummary",
    "change_in_pass",
    "compare",
    "count",
    "guessing",
    "pass_at_k",
    "summarise",
    "with_guessing",
]
