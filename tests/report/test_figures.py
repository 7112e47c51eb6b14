from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import titer.report.figures
from titer.report import ReportData
from titer.report.figures import MOST_POINTS, figures, label, thinned


def test_a_figure_is_left_out_without_numbers() -> None:
    assert figures(ReportData(title="empty")) == {}


def test_one_checkpoint_makes_no_curve(sample: ReportData) -> None:
    made = figures(ReportData(title="one", checkpoints={0: sample.checkpoints[0]}))
    assert made == {}


def test_the_forest_shows_each_difference_in_points(sample: ReportData) -> None:
    shown = {
        (round(x, 6), round(above, 6))
        for trace in figures(sample)["differences"]["data"]
        for x, above in zip(trace["x"], trace["error_x"]["array"], strict=True)
    }
    expected = {
        (round(100 * d.change.mid, 6), round(100 * (d.change.high - d.change.mid), 6))
        for d in sample.differences
        if d.measure == "accuracy" and (d.level == "axis" or d.axis == "out_of_domain")
    }
    assert shown == expected


def test_each_call_has_its_own_marker(sample: ReportData) -> None:
    traces = figures(sample)["differences"]["data"]
    markers = {trace["name"]: trace["marker"]["symbol"] for trace in traces}
    assert markers == {"better": "triangle-up", "worse": "triangle-down", "cannot tell": "circle-open"}


@pytest.mark.parametrize("name", ["score_path", "length_path", "loss"])
def test_series_differ_without_colour(sample: ReportData, name: str) -> None:
    looks = [(trace["marker"]["symbol"], trace["line"]["dash"]) for trace in figures(sample)[name]["data"]]
    assert len({symbol for symbol, _ in looks}) == len({dash for _, dash in looks}) == len(looks)


def test_checkpoint_curves_hold_every_step_and_start_logarithmic(sample: ReportData) -> None:
    figure = figures(sample)["score_path"]
    assert all(trace["x"] == [0, 10, 20, 40, 80, 160, 320] for trace in figure["data"])
    assert figure["log"] == {"unit": 10, "ticks": [0, 10, 20, 40, 80, 160, 320], "last": 320, "start": True}


def test_long_training_is_thinned_and_keeps_its_end(sample: ReportData) -> None:
    rows = [replace(sample.training[0], step=step) for step in range(1, 10_001)]
    kept = thinned(rows)
    assert MOST_POINTS / 2 < len(kept) <= MOST_POINTS
    assert kept[-1].step == 10_000
    assert thinned(rows[:100]) == rows[:100]


def test_names_reach_plotly_as_text() -> None:
    assert label("<b>x</b> & y") == "&lt;b&gt;x&lt;/b&gt; &amp; y"


def test_every_colour_is_one_of_the_pages() -> None:
    room = Path(titer.report.figures.__file__).parent
    used = set(re.findall(r'"(--[a-z]+)"', (room / "figures.py").read_text()))
    defined = set(re.findall(r"(--[a-z]+):", (room / "static" / "page.css").read_text()))
    assert used <= defined
