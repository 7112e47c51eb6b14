"""Scores with intervals, and paired comparison."""

from titer.evaluate.compare import compare
from titer.evaluate.metrics import pass_at_k, summarise, tally
from titer.records.results import Difference, Interval, SuiteSummary

__all__ = ["Difference", "Interval", "SuiteSummary", "compare", "pass_at_k", "summarise", "tally"]
