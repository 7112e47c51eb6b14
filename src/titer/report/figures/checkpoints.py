"""Charts over the evaluated checkpoints: scores, lengths, and each axis' way from the base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from titer.records.results import Interval, SuiteSummary, Verdict
from titer.report.data import ReportData
from titer.report.figures.drawing import Figure, error_bars, line_of, over_steps
from titer.report.names import title


def suite_path(
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
        trace = line_of(title(suite), [step for step, _ in points], [scale * i.mid for _, i in points], place)
        trace["error_y"] = error_bars([i for _, i in points], scale, trace["line"]["color"])
        series.append(trace)
    return over_steps(series, axis_title, height=220 + 22 * len(series), ticks=steps)


def axis_path(verdicts: Sequence[Verdict]) -> Figure | None:
    """Each axis' change from the base over the checkpoints, with its band; a dip and its recovery are marked."""
    if not any(len(verdict.path) > 1 for verdict in verdicts):
        return None
    series = []
    for place, verdict in enumerate(verdicts):
        path = {0: Interval(0.0, 0.0, 0.0), **verdict.path}
        line = line_of(title(verdict.axis), list(path), [100 * change.mid for change in path.values()], place)
        line["legendgroup"] = verdict.axis
        series += [_band(path, line), line]
        if verdict.trough is not None:
            word = "dip" if verdict.label in ("recovered", "dipping") else "lowest"
            series.append(_mark(verdict, line, verdict.trough, word, "bottom center"))
        if verdict.made_good is not None:
            series.append(_mark(verdict, line, verdict.made_good, "recovered", "top center"))
    steps = [0, *verdicts[0].path]
    drawn = over_steps(series, "Change from the base, percentage points", height=240 + 22 * len(verdicts), ticks=steps)
    if drawn:
        drawn["layout"]["yaxis"] |= {"zeroline": True, "zerolinewidth": 2}
    return drawn


def axis_lengths(data: ReportData) -> Figure | None:
    """Mean tokens of each axis over the checkpoints, where the suites have no curves of their own."""
    verdicts = [verdict for verdict in data.verdicts if len(verdict.lengths) > 2]
    if len(data.checkpoints) > 1 or not verdicts:
        return None
    series = [
        line_of(title(verdict.axis), list(verdict.lengths), list(verdict.lengths.values()), place)
        for place, verdict in enumerate(verdicts)
    ]
    return over_steps(series, "Mean length, tokens", height=220 + 22 * len(series), ticks=list(verdicts[0].lengths))


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
