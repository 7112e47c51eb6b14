"""Judging training by how each axis moved: dip, recovery, length, verdict."""

from titer.dynamics.axis import read_axis
from titer.dynamics.curve import Curve, curve_of_rates, curve_of_scores
from titer.dynamics.length import read_length
from titer.dynamics.trend import back_at
from titer.dynamics.verdict import AxisCurves, judge
from titer.records.results import Judgement, Verdict

__all__ = [
    "AxisCurves",
    "Curve",
    "Judgement",
    "Verdict",
    "back_at",
    "curve_of_rates",
    "curve_of_scores",
    "judge",
    "read_axis",
    "read_length",
]
