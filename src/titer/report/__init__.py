"""The report of a run: one self-contained HTML page, and the same as tables for the terminal."""

from titer.report.articles import spread
from titer.report.data import (
    CurationCounts,
    DecisionChange,
    FeatureRow,
    Manifest,
    MovedProblem,
    Moves,
    Pair,
    ProbeRow,
    ReadStep,
    RecipeChange,
    ReportData,
    RewardRow,
    StageRow,
    TeacherComparison,
    TracePair,
    TraceToRead,
    TrainRow,
    TwoRuns,
)
from titer.report.moves import moved_rows, moves
from titer.report.page import render, render_comparison, render_two_runs
from titer.report.pick import pick_moved, pick_pairs
from titer.report.terminal import show, show_comparison, show_steps, show_two_runs

__all__ = [
    "CurationCounts",
    "DecisionChange",
    "FeatureRow",
    "Manifest",
    "MovedProblem",
    "Moves",
    "Pair",
    "ProbeRow",
    "ReadStep",
    "RecipeChange",
    "ReportData",
    "RewardRow",
    "StageRow",
    "TeacherComparison",
    "TracePair",
    "TraceToRead",
    "TrainRow",
    "TwoRuns",
    "moved_rows",
    "moves",
    "pick_moved",
    "pick_pairs",
    "render",
    "render_comparison",
    "render_two_runs",
    "show",
    "show_comparison",
    "show_steps",
    "show_two_runs",
    "spread",
]
