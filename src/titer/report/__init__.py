"""The report of a run: one self-contained HTML page, and the same as tables for the terminal."""

from titer.report.data import (
    Curation,
    FeatureRow,
    Manifest,
    Pair,
    ProbeRow,
    ReadStep,
    ReportData,
    StageRow,
    TeacherComparison,
    TracePair,
    TraceToRead,
    TrainRow,
)
from titer.report.moves import moved_rows, moves
from titer.report.page import render, render_comparison
from titer.report.pick import pick_pairs
from titer.report.terminal import show, show_comparison, show_steps

__all__ = [
    "Curation",
    "FeatureRow",
    "Manifest",
    "Pair",
    "ProbeRow",
    "ReadStep",
    "ReportData",
    "StageRow",
    "TeacherComparison",
    "TracePair",
    "TraceToRead",
    "TrainRow",
    "moved_rows",
    "moves",
    "pick_pairs",
    "render",
    "render_comparison",
    "show",
    "show_comparison",
    "show_steps",
]
