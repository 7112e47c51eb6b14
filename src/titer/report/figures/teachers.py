"""Charts of two teachers' traces: what their steps do, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from titer.report.data import TeacherComparison
from titer.report.figures.drawing import Figure, label, new_layout, thinned, title_of_axis
from titer.report.numbers import percent

_HATCHED: Final[Figure] = {
    "color": "--paper",
    "pattern": {"shape": "/", "bgcolor": "--paper", "fgcolor": "--red", "size": 8, "solidity": 0.4},
    "line": {"color": "--red", "width": 1.5},
}
_LONGEST_NAME: Final = 32  # what a phone's legend has room for


def behaviours(teachers: TeacherComparison) -> Figure | None:
    """Both teachers' shares of steps by behaviour, as bars: a's filled, b's hatched."""
    rows = {row.name: row for row in teachers.rows}
    shown = [name for name in teachers.transitions_a if f"{name}_share" in rows]
    if not shown:
        return None
    found = [rows[f"{name}_share"] for name in shown]
    bars = [
        _bars(f"A: {_short(teachers.a)}", shown, [row.a for row in found], {"color": "--blue"}),
        _bars(f"B: {_short(teachers.b)}", shown, [row.b for row in found], _HATCHED),
    ]
    layout = new_layout(height=90 + 46 * len(shown))
    longest = max((x for bar in bars for x in bar["x"] if math.isfinite(x)), default=0.0) or 1.0
    layout["xaxis"] |= {"title": title_of_axis("Share of steps, %"), "range": [0, 1.2 * longest]}  # room for numbers
    if longest > 80:
        layout["xaxis"] |= {"tickvals": [0, 20, 40, 60, 80, 100]}
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "fixedrange": True}
    layout |= {"barmode": "group", "bargap": 0.3, "bargroupgap": 0.08, "hovermode": "closest"}
    layout["legend"] |= {"orientation": "v"}
    return {"data": bars, "layout": layout, "about": "Share of steps by behaviour, both teachers"}


def lengths(teachers: TeacherComparison) -> Figure | None:
    """A dot per problem on logarithmic axes, a's steps by b's, beside the line where both are as long."""
    points = [pair for pair in teachers.lengths if min(pair) > 0]
    if not points:
        return None
    a, b = zip(*thinned(points), strict=True)
    ends = [min(a + b) / 1.3, max(a + b) * 1.3]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "a problem",
        "x": list(b),
        "y": list(a),
        "marker": {"color": "--blue", "symbol": "circle-open", "size": 8, "line": {"width": 1.5}},
        "hovertemplate": "A %{y:.4~g}, B %{x:.4~g} steps<extra></extra>",
    }
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "as long as each other",
        "x": ends,
        "y": ends,
        "line": {"color": "--muted", "dash": "dash", "width": 1.5},
        "hoverinfo": "skip",
    }
    layout = new_layout(height=380)
    axis = {"type": "log", "range": [math.log10(end) for end in ends], "nticks": 6}
    layout["xaxis"] |= {"title": title_of_axis("Steps of B"), **axis}
    layout["yaxis"] |= {"title": title_of_axis("Steps of A"), **axis}
    layout["hovermode"] = "closest"
    return {"data": [dots, line], "layout": layout, "about": "Steps of each problem's traces, both teachers"}


def _short(teachers: str) -> str:
    """Models' names without their owners."""
    name = ", ".join(teacher.rpartition("/")[2] or teacher for teacher in teachers.split(", "))
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _bars(name: str, labels: Sequence[str], shares: Sequence[float], marker: Figure) -> Figure:
    return {
        "type": "bar",
        "orientation": "h",
        "name": label(name),
        "y": [label(text) for text in labels],
        "x": [100 * share for share in shares],
        "marker": marker,
        "text": [percent(share) for share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
