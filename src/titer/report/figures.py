"""The charts of the report, as the plain dictionaries that plotly.js draws.

    figures(data)["differences"]   # {"data": [...], "layout": {...}, "about": "...", "log": {...}}

A colour is the name of one of the page's CSS variables ("--blue"), so that one figure serves light and dark.
Series differ in marker shape and dash as well as in colour. A figure with a step axis carries "log": how to draw
the same steps on a logarithmic axis that has room for step 0, at log2(1 + step / unit).
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final, NamedTuple, TypeVar

from titer.records.results import Call, Difference, Interval, Measure, SuiteSummary, Verdict
from titer.report.data import ProbeRow, ReportData, TeacherComparison, TrainRow
from titer.report.numbers import change as written_change
from titer.report.numbers import percent

Figure = dict[str, Any]
Point = TypeVar("Point")
Histogram = Mapping[str, Sequence[float]]  # by kind of step, over bins of p

MOST_POINTS: Final = 1_500
MOST_COLUMNS: Final = 100  # of a map
MOST_MARKERS: Final = 25  # of a line over updates


class _Look(NamedTuple):
    """How one series is drawn: colour, marker symbol, dash."""

    colour: str
    symbol: str
    dash: str


# Cycles of different lengths, so that two series share a colour, a shape and a dash only after 210 others.
_COLOURS: Final = ("--blue", "--red", "--green", "--purple", "--orange", "--ink")
_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
_DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash")
_CALLS: Final[Mapping[Call, _Look]] = {
    "better": _Look("--blue", "triangle-up", "solid"),
    "worse": _Look("--red", "triangle-down", "solid"),
    "cannot tell": _Look("--muted", "circle-open", "solid"),
}
_PARTS: Final[Mapping[Measure, str]] = {
    "terminated": "ends by itself",
    "parsed": "answer read",
    "accuracy_given_parsed": "right when read",
}


class _Shade(NamedTuple):
    """Cells of a share from `least` per cent on, and how they are drawn: each darker than the last in grey print."""

    least: float
    name: str
    colour: str
    opacity: float


_SHADES: Final = (  # few cells hold most of what there is, so each class is about twice the last
    _Shade(0.05, "under 1 %", "--blue", 0.08),
    _Shade(1, "1–2 %", "--blue", 0.2),
    _Shade(2, "2–5 %", "--blue", 0.35),
    _Shade(5, "5–10 %", "--blue", 0.55),
    _Shade(10, "10–20 %", "--blue", 0.78),
    _Shade(20, "20–50 %", "--blue", 1),
    _Shade(50, "over 50 %", "--ink", 1),
)


def _look(place: int) -> _Look:
    return _Look(_COLOURS[place % 6], _SYMBOLS[place % 7], _DASHES[place % 5])


def figures(data: ReportData) -> dict[str, Figure]:
    """All charts that `data` has numbers for, by name."""
    made = {
        "differences": _differences(data.differences),
        "parts": _parts(data.differences),
        "loss": _loss(data),
        "token_accuracy": _token_accuracy(data),
        "lr": _rate(data),
        "p_map": _p_map(data.training, lambda row: row.tokens, "trained tokens"),
        "pull_map": _p_map(data.training, lambda row: row.pull, "pull"),
        "pull_kinds": _pull_by_kind(data.training),
        "axis_path": _axis_path(data.verdicts),
        "axis_lengths": _axis_lengths(data),
        "score_path": _path(data, lambda s: s.accuracy, "Accuracy (avg@k), %", 100.0),
        "length_path": _path(data, lambda s: s.tokens, "Mean length, tokens", 1.0),
        "termination_path": _path(data, lambda s: s.terminated, "Ends by itself, %", 100.0),
        "behaviours": _behaviours(data.teachers) if data.teachers else None,
        "lengths": _lengths(data.teachers) if data.teachers else None,
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def _differences(differences: Sequence[Difference]) -> Figure | None:
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


def _parts(differences: Sequence[Difference]) -> Figure | None:
    """A forest plot per axis of what accuracy is made of: termination, parse rate, accuracy given parsed."""
    rows = [d for d in differences if d.level == "axis" and d.measure in _PARTS and math.isfinite(d.change.mid)]
    axes = list(dict.fromkeys(d.axis for d in rows))
    if not axes:
        return None
    traces = []
    for place, (measure, name) in enumerate(_PARTS.items()):
        of_measure = [d for d in rows if d.measure == measure]
        heights = [len(axes) - 1 - axes.index(d.axis) + 0.22 * (1 - place) for d in of_measure]
        traces.append(_dots(of_measure, heights, name, _look(place)))
    names = {len(axes) - 1 - place: title(axis) for place, axis in enumerate(axes)}
    return _forest(traces, names, "Change, percentage points", per_row=64)


def _dots(differences: Sequence[Difference], heights: Sequence[float], name: str, look: _Look) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [100 * d.change.mid for d in differences],
        "y": list(heights),
        "error_x": _error_bars([d.change for d in differences], 100.0, look.colour),
        "marker": {
            "color": look.colour,
            "symbol": look.symbol,
            "size": 11,
            "line": {"width": 1.5, "color": look.colour},
        },
        "text": [f"{label(row_name(d))}: {written_change(d)}, {d.problems} problems" for d in differences],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _error_bars(intervals: Sequence[Interval], scale: float, colour: str) -> Figure:
    return {
        "type": "data",
        "symmetric": False,
        "array": [scale * (i.high - i.mid) for i in intervals],
        "arrayminus": [scale * (i.mid - i.low) for i in intervals],
        "color": colour,
        "thickness": 1.75,
        "width": 4,
    }


def _forest(traces: list[Figure], names: Mapping[int, str], axis_title: str, per_row: int = 34) -> Figure:
    layout = _layout(height=110 + per_row * len(names))
    layout["xaxis"] |= {"title": _axis_title(axis_title), "zeroline": True, "zerolinewidth": 2}
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


def _behaviours(teachers: TeacherComparison) -> Figure | None:
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
    layout = _layout(height=90 + 46 * len(shown))
    longest = max((x for bar in bars for x in bar["x"] if math.isfinite(x)), default=0.0) or 1.0
    layout["xaxis"] |= {"title": _axis_title("Share of steps, %"), "range": [0, 1.2 * longest]}  # room for numbers
    if longest > 80:
        layout["xaxis"] |= {"tickvals": [0, 20, 40, 60, 80, 100]}
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "fixedrange": True}
    layout |= {"barmode": "group", "bargap": 0.3, "bargroupgap": 0.08, "hovermode": "closest"}
    layout["legend"] |= {"orientation": "v"}
    return {"data": bars, "layout": layout, "about": "Share of steps by behaviour, both teachers"}


def _lengths(teachers: TeacherComparison) -> Figure | None:
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
    layout = _layout(height=380)
    axis = {"type": "log", "range": [math.log10(end) for end in ends], "nticks": 6}
    layout["xaxis"] |= {"title": _axis_title("Steps of B"), **axis}
    layout["yaxis"] |= {"title": _axis_title("Steps of A"), **axis}
    layout["hovermode"] = "closest"
    return {"data": [dots, line], "layout": layout, "about": "Steps of each problem's traces, both teachers"}


def _short(teachers: str, length: int = 32) -> str:
    """Models' names without their owners, as long as a phone's legend has room for."""
    name = ", ".join(teacher.rpartition("/")[2] or teacher for teacher in teachers.split(", "))
    return name if len(name) <= length else f"{name[: length - 1]}…"


_HATCHED: Final[Figure] = {
    "color": "--paper",
    "pattern": {"shape": "/", "bgcolor": "--paper", "fgcolor": "--red", "size": 8, "solidity": 0.4},
    "line": {"color": "--red", "width": 1.5},
}


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


def _loss(data: ReportData) -> Figure | None:
    rows = thinned(data.training)
    series = [
        _line("training batch", [r.step for r in rows], [r.loss for r in rows], 0, markers=False),
        _line("fixed subset", [r.step for r in data.probes], [r.loss for r in data.probes], 1),
        _line("unseen traces", [r.step for r in data.unseen], [r.loss for r in data.unseen], 2),
    ]
    return _steps([*series, *_endpoint(data, series)], "Loss")


def _token_accuracy(data: ReportData) -> Figure | None:
    if not (rows := thinned(data.training)):
        return None
    series = [
        _line("training batch", [r.step for r in rows], _per_cent(rows), 0, markers=False),
        _line("fixed subset", [r.step for r in data.probes], _per_cent(data.probes), 1),
        _line("unseen traces", [r.step for r in data.unseen], _per_cent(data.unseen), 2),
        *_judged(data),
    ]
    return _steps([*series, *_endpoint(data, series)], "Token accuracy, %")


def _per_cent(rows: Sequence[TrainRow | ProbeRow]) -> list[float]:
    return [100 * row.token_accuracy for row in rows]


def _judged(data: ReportData) -> list[Figure]:
    """Accuracy and termination in domain at each evaluated checkpoint, so that they stand beside token accuracy."""
    if len(data.checkpoints) < 2:
        return []
    by_step = {
        step: [score for score in data.checkpoints[step] if score.axis == "in_domain"]
        for step in sorted(data.checkpoints)
    }
    by_step = {step: scores for step, scores in by_step.items() if scores}
    accuracy = [100 * fmean(score.accuracy.mid for score in scores) for scores in by_step.values()]
    ended = [100 * fmean(score.terminated.mid for score in scores) for scores in by_step.values()]
    steps = list(by_step)
    return [_line("accuracy in domain", steps, accuracy, 3), _line("ends by itself in domain", steps, ended, 4)]


def _endpoint(data: ReportData, series: Sequence[Figure]) -> list[Figure]:
    """An upright line where the endpoint rule fired, as high as what it stands beside; nothing where it did not."""
    heights = [y for one in series for y in one["y"]]
    if not data.endpoint or not heights:
        return []
    line = _line("endpoint", [data.endpoint.step] * 2, [min(heights), max(heights)], 5, markers=False)
    return [line | {"line": {"color": "--ink", "dash": "dot", "width": 2}}]


def _rate(data: ReportData) -> Figure | None:
    rows = thinned(data.training)
    series = [_line("learning rate", [r.step for r in rows], [r.lr for r in rows], 0, markers=False)]
    return _steps(series, "Learning rate", height=190)


class _Column(NamedTuple):
    """Updates that are drawn together, from `first` to `last`, and the sum of their histograms."""

    first: int
    last: int
    sums: dict[str, list[float]]

    @property
    def steps(self) -> str:
        return str(self.last) if self.first == self.last else f"{self.first}–{self.last}"


def _columns(rows: Sequence[TrainRow], of: Callable[[TrainRow], Histogram], most: int) -> list[_Column]:
    """The rows that have a histogram, in at most `most` runs of as many updates; the last run may be shorter."""
    rows = [row for row in rows if of(row)]
    every = max(1, math.ceil(len(rows) / most))
    columns = []
    for run in (rows[place : place + every] for place in range(0, len(rows), every)):
        sums: dict[str, list[float]] = {}
        for kind, values in (item for row in run for item in of(row).items()):
            sums[kind] = [a + b for a, b in zip(sums.get(kind, [0.0] * len(values)), values, strict=True)]
        columns.append(_Column(run[0].step, run[-1].step, sums))
    return columns


class _Cell(NamedTuple):
    """A bin of p in a column, and its share of all that the column has, in per cent."""

    column: _Column
    low: float
    height: float
    share: float


def _p_map(rows: Sequence[TrainRow], of: Callable[[TrainRow], Histogram], what: str) -> Figure | None:
    """A map of shaded cells, updates by p."""
    cells = [cell for column in _columns(rows, of, MOST_COLUMNS) for cell in _cells(column)]
    ends = [*(shade.least for shade in _SHADES[1:]), math.inf]
    series = [
        _shaded([cell for cell in cells if shade.least <= cell.share < end], shade, what)
        for shade, end in zip(_SHADES, ends, strict=True)
    ]
    figure = _steps(series, "p of the token", height=320)
    if figure is None:
        return None
    figure["layout"]["xaxis"] |= {"showgrid": False}
    figure["layout"]["yaxis"] |= {"range": [0, 1], "tickvals": [0, 0.25, 0.5, 0.75, 1], "showgrid": False}
    figure["layout"] |= {"bargap": 0, "showlegend": True}  # without a gap, cells are drawn on whole pixels
    return figure | {"about": f"Share of the {what} by p of the token, by step"}


def _cells(column: _Column) -> list[_Cell]:
    bins = [sum(values) for values in zip(*column.sums.values(), strict=True)]
    whole, count = sum(bins), len(bins)
    return [_Cell(column, k / count, 1 / count, 100 * value / whole) for k, value in enumerate(bins) if whole > 0]


def _shaded(cells: Sequence[_Cell], shade: _Shade, what: str) -> Figure:
    """Cells of one shade, as bars that end at the last update of their column: page.js sets them off by their width."""
    return {
        "type": "bar",
        "name": label(shade.name),
        "x": [cell.column.last for cell in cells],
        "y": [cell.height for cell in cells],
        "base": [cell.low for cell in cells],
        "width": [cell.column.last - cell.column.first + 1 for cell in cells],
        "marker": {"color": shade.colour, "line": {"width": 0}},
        "opacity": shade.opacity,
        "customdata": [cell.column.steps for cell in cells],
        "text": [f"{cell.share:.1f}" for cell in cells],
        "textposition": "none",
        "hovertemplate": f"step %{{customdata}}, p from %{{base:.2f}}: %{{text}} % of the {what}<extra></extra>",
    }


def _pull_by_kind(rows: Sequence[TrainRow]) -> Figure | None:
    """The share of the pull that each kind of step has, over training; None where no steps were labelled."""
    columns = [(column, _totals(column)) for column in _columns(rows, lambda row: row.pull, MOST_MARKERS)]
    drawn = [(column, totals) for column, totals in columns if sum(totals.values()) > 0]
    kinds = dict.fromkeys(kind for _, totals in drawn for kind, total in totals.items() if total > 0)
    if not any(kinds):
        return None
    series = []
    for place, kind in enumerate(kinds):
        shares = [100 * totals.get(kind, 0.0) / sum(totals.values()) for _, totals in drawn]
        line = _line(kind or "outside of steps", [column.last for column, _ in drawn], shares, place)
        series.append(line | {"customdata": [column.steps for column, _ in drawn]})
    figure = _steps(series, "Share of the pull, %", height=240 + 22 * len(series))
    if figure is not None:
        figure["layout"]["yaxis"] |= {"rangemode": "tozero"}
    return figure


def _totals(column: _Column) -> dict[str, float]:
    return {kind: sum(values) for kind, values in column.sums.items()}


def _path(
    data: ReportData, measured: Callable[[SuiteSummary], Interval], axis_title: str, scale: float
) -> Figure | None:
    """A measure of each suite over the evaluated checkpoints, with its interval."""
    if len(data.checkpoints) < 2:
        return None
    steps = sorted(data.checkpoints)
    suites = list(dict.fromkeys(s.suite for step in steps for s in data.checkpoints[step]))
    series = []
    for place, suite in enumerate(suites):
        points = [(step, measured(s)) for step in steps for s in data.checkpoints[step] if s.suite == suite]
        trace = _line(title(suite), [step for step, _ in points], [scale * i.mid for _, i in points], place)
        trace["error_y"] = _error_bars([i for _, i in points], scale, trace["line"]["color"])
        series.append(trace)
    return _steps(series, axis_title, height=220 + 22 * len(series), ticks=steps)


def _axis_path(verdicts: Sequence[Verdict]) -> Figure | None:
    """Each axis' change from the base over the checkpoints, with its band; a dip and its recovery are marked."""
    if not any(len(verdict.path) > 1 for verdict in verdicts):
        return None
    series = []
    for place, verdict in enumerate(verdicts):
        path = {0: Interval(0.0, 0.0, 0.0), **verdict.path}
        line = _line(title(verdict.axis), list(path), [100 * change.mid for change in path.values()], place)
        line["legendgroup"] = verdict.axis
        series += [_band(path, line), line]
        if verdict.trough is not None:
            word = "dip" if verdict.label in ("recovered", "dipping") else "lowest"
            series.append(_mark(verdict, line, verdict.trough, word, "bottom center"))
        if verdict.made_good is not None:
            series.append(_mark(verdict, line, verdict.made_good, "recovered", "top center"))
    steps = [0, *verdicts[0].path]
    drawn = _steps(series, "Change from the base, percentage points", height=240 + 22 * len(verdicts), ticks=steps)
    if drawn:
        drawn["layout"]["yaxis"] |= {"zeroline": True, "zerolinewidth": 2}
    return drawn


def _band(path: Mapping[int, Interval], line: Figure) -> Figure:
    """The intervals as one closed outline, filled."""
    ends = [(step, 100 * change.high) for step, change in path.items()]
    ends += [(step, 100 * change.low) for step, change in reversed(list(path.items()))]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [step for step, _ in ends],
        "y": [value for _, value in ends],
        "customdata": [step for step, _ in ends],
        "fill": "toself",
        "fillcolor": line["line"]["color"],
        "opacity": 0.15,
        "line": {"width": 0, "color": line["line"]["color"]},
        "legendgroup": line["legendgroup"],
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _mark(verdict: Verdict, line: Figure, step: int, word: str, position: str) -> Figure:
    """A word at a checkpoint of an axis."""
    return {
        "type": "scatter",
        "mode": "text",
        "x": [step],
        "y": [100 * verdict.path[step].mid],
        "customdata": [step],
        "text": [word],
        "textposition": position,
        "textfont": {"color": line["line"]["color"]},
        "legendgroup": verdict.axis,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _axis_lengths(data: ReportData) -> Figure | None:
    """Mean tokens of each axis over the checkpoints, where the suites have no curves of their own."""
    verdicts = [verdict for verdict in data.verdicts if len(verdict.lengths) > 2]
    if len(data.checkpoints) > 1 or not verdicts:
        return None
    series = [
        _line(title(verdict.axis), list(verdict.lengths), list(verdict.lengths.values()), place)
        for place, verdict in enumerate(verdicts)
    ]
    return _steps(series, "Mean length, tokens", height=220 + 22 * len(series), ticks=list(verdicts[0].lengths))


def _line(name: str, steps: Sequence[int], values: Sequence[float], place: int, *, markers: bool = True) -> Figure:
    look = _look(place)
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


def _steps(series: Iterable[Figure], axis_title: str, *, height: int = 280, ticks: Sequence[int] = ()) -> Figure | None:
    """A chart over steps, or None without points. With `ticks` (the checkpoints) it starts on the log axis."""
    drawn = [trace for trace in series if trace["x"]]
    if not drawn:
        return None
    layout = _layout(height=height)
    last = max(step for trace in drawn for step in trace["x"])
    layout["margin"] |= {"l": 68}
    layout["xaxis"] |= {"title": _axis_title("step"), "range": [-0.015 * last, 1.015 * last]}
    layout["yaxis"] |= {
        "title": _axis_title(axis_title),
        "exponentformat": "e",
        "nticks": height // 50,
        "automargin": False,
    }
    layout["showlegend"] = len(drawn) > 1
    unit = next((step for step in ticks if step > 0), 1)
    log = {"unit": unit, "ticks": list(ticks) or _decades(last), "last": last, "start": bool(ticks)}
    return {"data": drawn, "layout": layout, "about": f"{axis_title}, by step", "log": log}


def _axis_title(text: str) -> Figure:
    return {"text": text, "font": {"size": 13, "color": "--muted"}, "standoff": 8}


def _decades(last: int) -> list[int]:
    """0 and 1, 3, 10, 30, … up to `last`."""
    marks = (part * 10**power for power in range(len(str(last))) for part in (1, 3))
    return [0, *(mark for mark in marks if mark <= last)]


def _layout(*, height: int) -> Figure:
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


def thinned(rows: Sequence[Point]) -> list[Point]:
    """At most `MOST_POINTS` of the rows, evenly spread, the last one among them."""
    every = math.ceil(len(rows) / MOST_POINTS)
    return list(rows[::-1][:: max(every, 1)])[::-1]


def row_name(difference: Difference) -> str:
    """The name of a difference's row: its axis, or its suite set in below."""
    return title(difference.axis) if difference.level == "axis" else f"· {title(difference.suite)}"


def title(name: str) -> str:
    """An axis' or suite's name as people read it; ordinary files have none, and are one suite."""
    return name.replace("_", " ") if name else "all problems"


def label(text: str) -> str:
    """`text` as plotly shows it literally: plotly reads a small part of HTML in every text it draws."""
    return html.escape(text, quote=False)
