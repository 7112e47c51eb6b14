"""What the charts are drawn with: colours, markers, lines over steps, layouts."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from titer.records.results import Interval

Figure = dict[str, Any]
Point = TypeVar("Point")
MOST_POINTS: Final = 1_500


class Look(NamedTuple):
    """How one series is drawn: colour, marker symbol, dash."""

    colour: str
    symbol: str
    dash: str


# Cycles of different lengths, so that two series share a colour, a shape and a dash only after 210 others.
_COLOURS: Final = ("--blue", "--red", "--green", "--purple", "--orange", "--ink")
_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
_DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash")


def look_of(place: int) -> Look:
    """The look of a chart's series by its place."""
    return Look(_COLOURS[place % 6], _SYMBOLS[place % 7], _DASHES[place % 5])


def line_of(name: str, steps: Sequence[int], values: Sequence[float], place: int, *, markers: bool = True) -> Figure:
    """A series over steps."""
    look = look_of(place)
    return {
        "type": "scatter",
        "mode": "lines+markers" if markers or len(steps) == 1 else "lines",  # no line is drawn through one point
        "name": label(name),
        "x": list(steps),
        "y": list(values),
        "customdata": list(steps),
        "line": {"color": look.colour, "dash": look.dash, "width": 2 if markers else 1.5},
        "marker": {"color": look.colour, "symbol": look.symbol, "size": 9},
        "hovertemplate": f"step %{{customdata}}: %{{y:.4~g}}<extra>{label(name)}</extra>",
    }


def over_steps(
    series: Iterable[Figure], axis_title: str, *, height: int = 280, ticks: Sequence[int] = ()
) -> Figure | None:
    """A chart over steps, or None without points. With `ticks` (the checkpoints) it starts on the log axis."""
    drawn = [trace for trace in series if trace["x"]]
    if not drawn:
        return None
    layout = new_layout(height=height)
    last = max(step for trace in drawn for step in trace["x"])
    layout["margin"] |= {"l": 68}
    layout["xaxis"] |= {"title": title_of_axis("step"), "range": [-0.015 * last, 1.015 * last]}
    layout["yaxis"] |= {
        "title": title_of_axis(axis_title),
        "exponentformat": "e",
        "nticks": height // 50,
        "automargin": False,
    }
    layout["showlegend"] = len(drawn) > 1
    unit = next((step for step in ticks if step > 0), 1)
    log = {"unit": unit, "ticks": list(ticks) or _decades(last), "last": last, "start": bool(ticks)}
    return {"data": drawn, "layout": layout, "about": f"{axis_title}, by step", "log": log}


def title_of_axis(text: str) -> Figure:
    """What stands beside an axis."""
    return {"text": text, "font": {"size": 13, "color": "--muted"}, "standoff": 8}


def _decades(last: int) -> list[int]:
    """0 and 1, 3, 10, 30, … up to `last`."""
    marks = (part * 10**power for power in range(len(str(last))) for part in (1, 3))
    return [0, *(mark for mark in marks if mark <= last)]


def new_layout(*, height: int) -> Figure:
    """A layout that every chart begins with, `height` pixels high."""
    grid = {"gridcolor": "--line", "zerolinecolor": "--ink", "linecolor": "--line", "automargin": True}
    return {
        "height": height,
        "margin": {"l": 8, "r": 16, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--ink", "family": "system-ui, sans-serif", "size": 13},
        "hoverlabel": {"bgcolor": "--paper", "bordercolor": "--line", "font": {"color": "--ink"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "showlegend": True,
        "xaxis": {**grid, "zeroline": False},
        "yaxis": {**grid, "zeroline": False},
    }


def error_bars(intervals: Sequence[Interval], scale: float, colour: str) -> Figure:
    """Intervals as bars beside their middles, both times `scale`."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [scale * (i.high - i.mid) for i in intervals],
        "arrayminus": [scale * (i.mid - i.low) for i in intervals],
        "color": colour,
        "thickness": 1.75,
        "width": 4,
    }


def thinned(rows: Sequence[Point]) -> list[Point]:
    """At most `MOST_POINTS` of the rows, evenly spread, the last one among them."""
    every = math.ceil(len(rows) / MOST_POINTS)
    return list(rows[::-1][:: max(every, 1)])[::-1]


def label(text: str) -> str:
    """`text` as plotly shows it literally: plotly reads a small part of HTML in every text it draws."""
    return html.escape(text, quote=False)
