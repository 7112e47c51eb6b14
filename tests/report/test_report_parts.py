"""The small parts: numbers as text, picking pairs, terminal tables."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from report_sample import simulated
from rich.console import Console

from titer.records.results import Interval
from titer.report import ReportData, pick_pairs, show
from titer.report import numbers as n

NAN = math.nan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (n.number(0.78123, 4), "0.7812"),
        (n.number(182_344), "182,344"),
        (n.number(1234.56), "1,235"),
        (n.number(-3.14159), "−3.14"),
        (n.number(2e-5), "2e−5"),
        (n.number(NAN), "–"),
        (n.percent(0.6183), "61.8 %"),
        (n.percent(NAN), "–"),
        (n.percent_range(Interval(0.1, 0.2, 0.3)), "10.0–30.0"),
        (n.percent_range(Interval(NAN, 0.2, NAN)), ""),
        (n.mean_tokens(9.587), "9.6"),
        (n.mean_tokens(1043.2), "1,043"),
        (n.points(Interval(-0.021, 0.05, 0.121)), "+5.0 [−2.1, +12.1]"),
        (n.points(Interval(NAN, 1.0, NAN)), "+100"),
        (n.points(Interval(-12.0, 150.4, 300.0), scale=1), "+150 [−12.0, +300]"),
        (n.duration(0.44), "0.4 s"),
        (n.duration(754), "12 min 34 s"),
        (n.duration(11_100), "3 h 05 min"),
        (n.duration(3_599.7), "1 h 00 min"),
        (n.plain([0.71, 0.8, None, True]), "0.71, 0.8, –, yes"),
        (n.plain({"a": 1, "b": "x"}), "a: 1, b: x"),
    ],
)
def test_numbers_as_people_read_them(text: str, expected: str) -> None:
    assert text == expected


def test_picked_pairs_show_what_they_are_listed_for() -> None:
    pairs = pick_pairs(simulated(0, "base"), simulated(320, "trained"), answers={}, each=4)
    shown = {(p.outcome, p.base.score, p.trained.score) for p in pairs}
    assert shown == {("gained", 0.0, 1.0), ("lost", 1.0, 0.0), ("both wrong", 0.0, 0.0)}
    assert all((p.base.suite, p.base.problem_id) == (p.trained.suite, p.trained.problem_id) for p in pairs)
    assert all(p.trained_rate > p.base_rate for p in pairs if p.outcome == "gained")
    assert all(p.trained_rate == p.base_rate == 0 for p in pairs if p.outcome == "both wrong")
    assert len(pairs) == 12


def test_picking_skips_what_was_not_graded_or_not_shared() -> None:
    base = [replace(r, score=None) for r in simulated(0, "base", problems=2)]
    assert pick_pairs(base, simulated(320, "trained", problems=2), answers={}) == []


def printed(data: ReportData) -> str:
    out = io.StringIO()
    show(data, Console(file=out, width=200, force_terminal=False))
    return out.getvalue()


def test_the_terminal_shows_the_same_numbers(sample: ReportData) -> None:
    text = printed(sample)
    for verdict in sample.verdicts:
        assert verdict.label in text and n.points(verdict.accuracy) in text
    for suite in sample.suites:
        assert n.percent(suite.accuracy.mid) in text
    assert "Which loss?" in text and "train.objective" in text


def test_the_terminal_obeys_nothing_in_the_data(hostile: ReportData) -> None:
    text = printed(hostile)
    assert "\x1b" not in text and "\x00" not in text
    assert "[bold red]markup[/]" in " ".join(text.split())


def test_an_empty_report_prints_nothing() -> None:
    assert printed(ReportData(title="empty")) == ""
