"""Charts of where the gradient goes: trained tokens and their pull, by p and by kind of step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from titer.report.data import TrainRow
from titer.report.figures.drawing import Figure, label, line_of, over_steps

Histogram = Mapping[str, Sequence[float]]  # by kind of step, over bins of p
MOST_COLUMNS: Final = 100  # of a map
MOST_MARKERS: Final = 25  # of a line over updates


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


def p_map(rows: Sequence[TrainRow], of: Callable[[TrainRow], Histogram], what: str) -> Figure | None:
    """A map of shaded cells, updates by p."""
    cells = [cell for column in _columns(rows, of, MOST_COLUMNS) for cell in _cells(column)]
    ends = [*(shade.least for shade in _SHADES[1:]), math.inf]
    series = [
        _shaded([cell for cell in cells if shade.least <= cell.share < end], shade, what)
        for shade, end in zip(_SHADES, ends, strict=True)
    ]
    figure = over_steps(series, "p of the token", height=320)
    if figure is None:
        return None
    figure["layout"]["xaxis"] |= {"showgrid": False}
    figure["layout"]["yaxis"] |= {"range": [0, 1], "tickvals": [0, 0.25, 0.5, 0.75, 1], "showgrid": False}
    figure["layout"] |= {"bargap": 0, "showlegend": True}  # without a gap, cells are drawn on whole pixels
    return figure | {"about": f"Share of the {what} by p of the token, by step"}


def pull_by_kind(rows: Sequence[TrainRow]) -> Figure | None:
    """The share of the pull that each kind of step has, over training; None where no steps were labelled."""
    columns = [(column, _totals(column)) for column in _columns(rows, lambda row: row.pull, MOST_MARKERS)]
    drawn = [(column, totals) for column, totals in columns if sum(totals.values()) > 0]
    kinds = dict.fromkeys(kind for _, totals in drawn for kind, total in totals.items() if total > 0)
    if not any(kinds):
        return None
    series = []
    for place, kind in enumerate(kinds):
        shares = [100 * totals.get(kind, 0.0) / sum(totals.values()) for _, totals in drawn]
        line = line_of(kind or "outside of steps", [column.last for column, _ in drawn], shares, place)
        series.append(line | {"customdata": [column.steps for column, _ in drawn]})
    figure = over_steps(series, "Share of the pull, %", height=240 + 22 * len(series))
    if figure is not None:
        figure["layout"]["yaxis"] |= {"rangemode": "tozero"}
    return figure


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


def _totals(column: _Column) -> dict[str, float]:
    return {kind: sum(values) for kind, values in column.sums.items()}
