"""The charts of the report, as the plain dictionaries that plotly.js draws.

    figures(data)["differences"]   # {"data": [...], "layout": {...}, "about": "...", "log": {...}}

A colour is the name of one of the page's CSS variables ("--blue"), so that one figure serves light and dark.
Series differ in marker shape and dash as well as in colour. A figure with a step axis carries "log": how to draw
the same steps on a logarithmic axis that has room for step 0, at log2(1 + step / unit).
"""

from __future__ import annotations

from titer.report.data import ReportData
from titer.report.figures.checkpoints import axis_lengths, axis_path, suite_path
from titer.report.figures.differences import forest_of_changes, forest_of_parts
from titer.report.figures.drawing import Figure
from titer.report.figures.pull import p_map, pull_by_kind
from titer.report.figures.teachers import behaviours, lengths
from titer.report.figures.training import learning_rate, loss, rewards, token_accuracy

__all__ = ["Figure", "figures"]


def figures(data: ReportData) -> dict[str, Figure]:
    """All charts that `data` has numbers for, by name."""
    made = {
        "differences": forest_of_changes(data.differences),
        "parts": forest_of_parts(data.differences),
        "loss": loss(data),
        "token_accuracy": token_accuracy(data),
        "lr": learning_rate(data),
        "rewards": rewards(data),
        "p_map": p_map(data.training, lambda row: row.tokens, "trained tokens"),
        "pull_map": p_map(data.training, lambda row: row.pull, "pull"),
        "pull_kinds": pull_by_kind(data.training),
        "axis_path": axis_path(data.verdicts),
        "axis_lengths": axis_lengths(data),
        "score_path": suite_path(data, lambda s: s.accuracy, "Accuracy (avg@k), %", 100.0),
        "length_path": suite_path(data, lambda s: s.tokens, "Mean length, tokens", 1.0),
        "termination_path": suite_path(data, lambda s: s.terminated, "Ends by itself, %", 100.0),
        "behaviours": behaviours(data.teachers) if data.teachers else None,
        "lengths": lengths(data.teachers) if data.teachers else None,
    }
    return {name: figure for name, figure in made.items() if figure is not None}
