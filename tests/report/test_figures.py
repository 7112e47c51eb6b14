from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import titer.report.figures
from titer.records.results import Interval
from titer.report import ReportData
from titer.report.figures import figures
from titer.report.figures.drawing import MOST_POINTS, label, thinned
from titer.report.figures.pull import MOST_COLUMNS, MOST_MARKERS


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


@pytest.mark.parametrize("name", ["score_path", "length_path", "loss", "pull_kinds"])
def test_series_differ_without_colour(sample: ReportData, name: str) -> None:
    looks = [(trace["marker"]["symbol"], trace["line"]["dash"]) for trace in figures(sample)[name]["data"]]
    assert len(set(looks)) == len({symbol for symbol, _ in looks}) == len(looks)
    assert len({dash for _, dash in looks}) == min(len(looks), 5)  # there are five


def test_checkpoint_curves_hold_every_step_and_start_logarithmic(sample: ReportData) -> None:
    figure = figures(sample)["score_path"]
    assert all(trace["x"] == [0, 10, 20, 40, 80, 160, 320] for trace in figure["data"])
    assert figure["log"] == {"unit": 10, "ticks": [0, 10, 20, 40, 80, 160, 320], "last": 320, "start": True}


def test_a_training_of_one_update_is_a_point_that_can_be_seen(sample: ReportData) -> None:
    for rows, mode in ((sample.training[:1], "lines+markers"), (sample.training, "lines")):
        assert figures(ReportData(title="short", training=rows))["loss"]["data"][0]["mode"] == mode


def test_long_training_is_thinned_and_keeps_its_end(sample: ReportData) -> None:
    rows = [replace(sample.training[0], step=step) for step in range(1, 10_001)]
    kept = thinned(rows)
    assert MOST_POINTS / 2 < len(kept) <= MOST_POINTS
    assert kept[-1].step == 10_000
    assert thinned(rows[:100]) == rows[:100]


def cells(figure: dict[str, Any]) -> list[tuple[int, int, float, float]]:
    """The end and the width of each cell of a map, its lowest p and its share in per cent."""
    return [
        (x, width, base, float(share))
        for trace in figure["data"]
        for x, width, base, share in zip(trace["x"], trace["width"], trace["base"], trace["text"], strict=True)
    ]


def test_maps_show_the_share_of_every_bin(sample: ReportData) -> None:
    row = replace(
        sample.training[0], step=1, tokens={"deduce": [0, 1, 0, 6], "": [0, 0, 0, 3]}, pull={"deduce": [1] * 4}
    )
    made = figures(ReportData(title="one", training=[row]))
    assert cells(made["p_map"]) == [(1, 1, 0.25, 10), (1, 1, 0.75, 90)]
    assert [trace["name"] for trace in made["p_map"]["data"]] == ["10–20 %", "over 50 %"]
    assert [share for *_, share in cells(made["pull_map"])] == [25] * 4
    assert [(trace["name"], trace["y"]) for trace in made["pull_kinds"]["data"]] == [("deduce", [100])]


def test_columns_add_up_neighbouring_updates_and_cover_all(sample: ReportData) -> None:
    rows = [replace(sample.training[0], step=n, tokens={"": [n % 2, 1]}, pull={}) for n in range(1, 1_235)]
    shown = cells(figures(ReportData(title="long", training=rows))["p_map"])
    ends = sorted({(x, width) for x, width, _, _ in shown})
    assert len(ends) <= MOST_COLUMNS and ends[-1][0] == 1_234
    assert [x - width for x, width in ends] == [0, *(x for x, _ in ends[:-1])]
    # 6 of 19 tokens where a column of 13 updates begins with an even one, 7 of 20 otherwise
    assert {share for _, width, base, share in shown if width == 13 and base == 0.0} == {31.6, 35.0}
    lines = figures(sample)["pull_kinds"]["data"]
    assert len({*lines[0]["x"]}) <= MOST_MARKERS and lines[0]["x"][-1] == 320


def test_the_shares_of_kinds_add_up(sample: ReportData) -> None:
    lines = figures(sample)["pull_kinds"]["data"]
    assert [line["name"] for line in lines] == [*sample.behaviours, "outside of steps"]
    assert all(abs(sum(at) - 100) < 1e-9 for at in zip(*(line["y"] for line in lines), strict=True))


def test_what_a_log_lacks_is_not_drawn(sample: ReportData) -> None:
    maps = {"p_map", "pull_map", "pull_kinds"}
    old = [replace(row, tokens={}, pull={}) for row in sample.training]
    assert not figures(replace(sample, training=old)).keys() & maps
    unlabelled = [replace(row, tokens={"": [1, 2]}, pull={"": [1, 0]}) for row in sample.training]
    assert figures(replace(sample, training=unlabelled)).keys() & maps == {"p_map", "pull_map"}
    mixed = [*old[:100], *sample.training[100:]]
    assert min(x - width for x, width, _, _ in cells(figures(replace(sample, training=mixed))["p_map"])) == 100
    still = [replace(row, pull={kind: [0.0] * 20 for kind in row.pull}) for row in sample.training]
    assert figures(replace(sample, training=still)).keys() & maps == {"p_map"}


def test_names_reach_plotly_as_text() -> None:
    assert label("<b>x</b> & y") == "&lt;b&gt;x&lt;/b&gt; &amp; y"


def test_every_colour_is_one_of_the_pages() -> None:
    charts = Path(titer.report.figures.__file__).parent
    used = {colour for file in charts.glob("*.py") for colour in re.findall(r'"(--[a-z]+)"', file.read_text())}
    defined = set(re.findall(r"(--[a-z]+):", (charts.parent / "static" / "page.css").read_text()))
    assert used and used <= defined


def test_the_endpoint_is_marked(sample: ReportData) -> None:
    probe = sample.probes[-1]
    for name in ("token_accuracy", "loss"):
        *rest, mark = figures(replace(sample, endpoint=probe))[name]["data"]
        assert mark["name"] == "endpoint" and mark["x"] == [probe.step] * 2
        assert mark["y"] == [min(min(trace["y"]) for trace in rest), max(max(trace["y"]) for trace in rest)]
        assert "endpoint" not in [trace["name"] for trace in figures(sample)[name]["data"]]


def test_unseen_traces_accuracy_and_termination_stand_beside_token_accuracy(sample: ReportData) -> None:
    unseen = [replace(probe, loss=2.5, token_accuracy=0.4) for probe in sample.probes]
    made = {name: figures(replace(sample, unseen=unseen))[name]["data"] for name in ("token_accuracy", "loss")}
    by_name = {name: {trace["name"]: trace for trace in traces} for name, traces in made.items()}
    assert set(by_name["loss"]["unseen traces"]["y"]) == {2.5}
    assert set(by_name["token_accuracy"]["unseen traces"]["y"]) == {40.0}
    last = [score for score in sample.checkpoints[max(sample.checkpoints)] if score.axis == "in_domain"]
    for name, found in (("accuracy in domain", "accuracy"), ("ends by itself in domain", "terminated")):
        mean = sum(getattr(score, found).mid for score in last) / len(last)
        assert by_name["token_accuracy"][name]["y"][-1] == pytest.approx(100 * mean)


def test_accuracy_in_domain_pools_problems_as_the_axis_does(sample: ReportData) -> None:
    score = next(score for score in sample.checkpoints[0] if score.axis == "in_domain")
    large, small = (
        replace(score, suite=name, problems=problems, accuracy=Interval(rate, rate, rate))
        for name, problems, rate in (("large", 90, 0.5), ("small", 10, 1.0))
    )
    made = figures(replace(sample, checkpoints={key: [large, small] for key in (0, 320)}))["token_accuracy"]
    (line,) = [trace for trace in made["data"] if trace["name"] == "accuracy in domain"]
    assert line["y"] == pytest.approx([55.0, 55.0])
