"""Charts of what changed against the base: a forest of accuracies, and of what an accuracy is made of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from titer.records.results import Call, Difference, Measure
from titer.report.figures.drawing import (
    Figure,
    Look,
    error_bars,
    label,
    look_of,
    new_layout,
    title_of_axis,
)
from titer.report.names import row_name, title
from titer.report.numbers import change as written_change

_CALLS: Final[Mapping[Call, Look]] = {
    "better": Look("--blue", "triangle-up", "solid"),
    "worse": Look("--red", "triangle-down", "solid"),
    "cannot tell": Look("--muted", "circle-open", "solid"),
}
_PARTS: Final[Mapping[Measure, str]] = {
    "terminated": "ends by itself",
    "parsed": "answer read",
    "accuracy_given_parsed": "right when read",
}


def forest_of_changes(differences: Sequence[Difference]) -> Figure | None:
    """A forest plot of the change in accuracy: each axis, below it its suites where it has several."""
    accuracy = [d for d in differences if d.measure == "accuracy" and math.isfinite(d.change.mid)]
    suites = Counter(d.axis for d in accuracy if d.level == "suite")
    rows = [d for d in accuracy if d.level == "axis" or suites[d.axis] > 1]
    if not rows:
        return None
    heights = {id(row): len(rows) - 1 - place for place, row in enumerate(rows)}
    traces = [
        _dots([d for d in rows if d.better == call], [heights[id(d)] for d in rows if d.better == call], call, look)
        for call, look in _CALLS.items()
        if any(d.better == call for d in rows)
    ]
    return _forest(traces, {heights[id(d)]: row_name(d) for d in rows}, "Change in accuracy, percentage points")


def forest_of_parts(differences: Sequence[Difference]) -> Figure | None:
    """A forest plot per axis of what accuracy is made of: termination, parse rate, accuracy given parsed."""
    rows = [d for d in differences if d.level == "axis" and d.measure in _PARTS and math.isfinite(d.change.mid)]
    axes = list(dict.fromkeys(d.axis for d in rows))
    if not axes:
        return None
    traces = []
    for place, (measure, name) in enumerate(_PARTS.items()):
        of_measure = [d for d in rows if d.measure == measure]
        heights = [len(axes) - 1 - axes.index(d.axis) + 0.22 * (1 - place) for d in of_measure]
        traces.append(_dots(of_measure, heights, name, look_of(place)))
    names = {len(axes) - 1 - place: title(axis) for place, axis in enumerate(axes)}
    return _forest(traces, names, "Change, percentage points", per_row=64)


def _dots(differences: Sequence[Difference], heights: Sequence[float], name: str, look: Look) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [100 * d.change.mid for d in differences],
        "y": list(heights),
        "error_x": error_bars([d.change for d in differences], 100.0, look.colour),
        "marker": {
            "color": look.colour,
            "symbol": look.symbol,
            "size": 11,
            "line": {"width": 1.5, "color": look.colour},
        },
        "text": [f"{label(row_name(d))}: {written_change(d)}, {d.problems} problems" for d in differences],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _forest(traces: list[Figure], names: Mapping[int, str], axis_title: str, per_row: int = 34) -> Figure:
    layout = new_layout(height=110 + per_row * len(names))
    layout["xaxis"] |= {"title": title_of_axis(axis_title), "zeroline": True, "zerolinewidth": 2}
    layout["yaxis"] |= {
        "tickvals": list(names),
        "ticktext": [label(name) for name in names.values()],
        "range": [-0.6, len(names) - 0.4],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }
    layout["hovermode"] = "closest"
    return {"data": traces, "layout": layout, "about": axis_title}
