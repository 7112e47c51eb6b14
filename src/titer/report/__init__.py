"""The report of a run: one self-contained HTML page, and the same as tables for the terminal."""

from titer.report.data import (
    Curation,
    Manifest,
    Pair,
    ProbeRow,
    ReportData,
    StageRow,
    TraceToRead,
    TrainRow,
)
from titer.report.page import render
from titer.report.pick import pick_pairs
from titer.report.terminal import show

__all__ = [
    "Curation",
    "Manifest",
    "Pair",
    "ProbeRow",
    "ReportData",
    "StageRow",
    "TraceToRead",
    "TrainRow",
    "pick_pairs",
    "render",
    "show",
]
