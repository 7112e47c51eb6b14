"""The small parts: numbers as text, picking pairs, terminal tables."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from report_sample import ATTACKS, simulated, teacher_comparison, trace_pairs
from rich.console import Console

from titer.records.results import Interval
from titer.records.schema import Rollout
from titer.report import ReadStep, ReportData, TwoRuns, pick_pairs, show, show_comparison, show_steps, show_two_runs
from titer.report import numbers as n
from titer.report.moves import moves
from titer.report.page import render
from titer.report.pick import pick_moved
from titer.report.reader import bare, fitting, opening, runs

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


def test_suites_that_count_from_zero_keep_their_own_answers() -> None:
    def both(score: float) -> list[Rollout]:
        rows = simulated(0, "base", problems=1, k=1)
        shared = [replace(row, problem_id="0", score=score, parsed="4") for row in rows]
        return list({row.suite: row for row in shared}.values())

    answers = {(row.suite, "0"): f"of {row.suite}" for row in both(0.0)}
    pairs = pick_pairs(both(0.0), both(1.0), answers=answers, each=9)
    assert len(pairs) == len(answers) > 1
    assert all(pair.answer == f"of {pair.base.suite}" for pair in pairs)
    moved = pick_moved(both(0.0), both(1.0), moves({0: both(0.0), 1: both(1.0)}), answers=answers)
    assert moved and all(pair.answer == f"of {pair.base.suite}" for pair in moved)


def test_page_and_terminal_show_the_same_pass_at_k(sample: ReportData) -> None:
    one = replace(sample.suites[0], pass_at={1: 0.4, 8: 0.7}, guess_at={1: 0.1})
    assert n.passes(one) == "@8: 70.0 %"
    page = render(replace(sample, suites=[one]))
    assert "k = 8</small>" in page and "; guessing" not in page
    alone = replace(one, pass_at={1: 0.4}, guess_at={})
    assert n.passes(alone) == "" and "k = 1</small>" not in render(replace(sample, suites=[alone]))


def test_picking_skips_what_was_not_graded_or_not_shared() -> None:
    base = [replace(r, score=None) for r in simulated(0, "base", problems=2)]
    assert pick_pairs(base, simulated(320, "trained", problems=2), answers={}) == []


def printed(data: ReportData, width: int = 200) -> str:
    out = io.StringIO()
    show(data, Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


def test_the_terminal_shows_the_same_numbers(sample: ReportData) -> None:
    text = printed(sample)
    for verdict in sample.verdicts:
        assert verdict.label in text and n.points(verdict.accuracy) in text
    for suite in sample.suites:
        assert n.percent(suite.accuracy.mid) in text
    assert "Which loss?" in text and "train.objective" in text


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_cuts_no_word_and_no_number(sample: ReportData, width: int) -> None:
    text = printed(sample, width)
    assert max(map(len, text.splitlines())) <= width
    shown = " ".join(text.split())
    for verdict in sample.verdicts:
        assert f"{verdict.label} {n.points(verdict.accuracy)}" in shown and verdict.rule in shown
    for decision in sample.decisions:
        assert f"{decision.question} {decision.choice}" in shown and f"override with {decision.setting}" in shown
    if width == 80:
        for suite in sample.suites:
            assert f"{n.percent(suite.accuracy.mid)} ({n.percent_range(suite.accuracy)})" in shown


@pytest.mark.parametrize("width", [60, 80])
def test_two_runs_fit_a_narrow_terminal(two: TwoRuns, width: int) -> None:
    out = io.StringIO()
    show_two_runs(two, Console(file=out, width=width, force_terminal=False))
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert "\x1b" not in out.getvalue()
    shown = " ".join(out.getvalue().split())
    assert "train.epochs 1 8" in shown and "! countdown was sampled otherwise" in shown
    if width == 80:
        for difference in two.differences:
            if difference.measure == "accuracy" and difference.level == "axis":
                assert f"{n.CALL_MARKS[difference.better]} {n.change(difference)}" in shown


def test_page_and_terminal_say_once_what_the_intervals_of_verdicts_are(sample: ReportData) -> None:
    for shown in (printed(sample, 200), render(sample)):
        assert shown.count("The intervals are 95 % each; the call of the run goes by wider ones") == 1


def test_the_terminal_obeys_nothing_in_the_data(hostile: ReportData) -> None:
    text = printed(hostile)
    assert "\x1b" not in text and "\x00" not in text
    assert "[bold red]markup[/]" in " ".join(text.split())


def test_an_empty_report_prints_nothing() -> None:
    assert printed(ReportData(title="empty")) == ""


def steps_printed(steps: list[ReadStep], width: int = 80, *, color: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=color, color_system="standard" if color else None)
    show_steps("a [b]title[/]", steps, console)
    return out.getvalue()


def test_steps_read_without_colour_and_fit_the_width() -> None:
    left = trace_pairs()[0].left
    lines = steps_printed(list(left.steps), width=60).splitlines()
    assert lines[0] == "a [b]title[/]" and max(map(len, lines)) <= 60
    assert [line.split()[0] for line in lines[1:] if line[0] not in " "] == [step.behaviour for step in left.steps]
    assert sum("2 abandoned lines, 3 steps" in line for line in lines) == 1
    dead = [line for line in lines if line[10:11] == "╎"]
    assert " ".join(" ".join(line[11:] for line in dead).split()) == " ".join(
        " ".join(step.text for step in left.steps if step.dead).split()
    )


def test_a_terminal_obeys_no_step() -> None:
    text = steps_printed([ReadStep(text=" ".join(ATTACKS) + "\u202e\x9b2J", behaviour="deduce")])
    assert not set("\x1b\x00\x9b\u202e\ud800") & set(text)
    assert "[bold red]markup[/]" in " ".join(part.strip(" │") for part in text.split("\n"))
    assert "\x1b[2" in steps_printed([ReadStep(text="x", behaviour="propose", line=1, dead=True)], color=True)


def test_the_comparison_fits_eighty_columns() -> None:
    out = io.StringIO()
    show_comparison(teacher_comparison(), Console(file=out, width=80, force_terminal=False))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and lines[0] == "A  lab/divergent"
    (propose,) = (line for line in lines if line.startswith("propose share"))
    assert propose.split() == ["propose", "share", "30.0", "%", "10.0", "%", "◀", "+20.0", "[+18.0,", "+22.0]"]
    assert any(line.split()[:7] == ["propose", "17", "17", "17", "17", "17", "17"] for line in lines)


def test_abandoned_steps_fold_into_runs_as_long_as_can_be() -> None:
    steps = [ReadStep(text="x", behaviour="deduce", line=line, dead=line > 1) for line in (0, 2, 3, 3, 1, 2)]
    found = runs(steps)
    assert [(run.first, run.summary) for run in found if run.dead] == [
        (2, "2 abandoned lines, 3 steps"),
        (6, "abandoned line, 1 step"),
    ]
    assert [step for run in found for step in run.steps] == steps
    assert runs([]) == []


def test_what_is_shown_of_a_step() -> None:
    assert bare("\n \n  if x:\n    y\n\n") == "  if x:\n    y"
    assert opening("a  b\nc", 3) == "a…" and opening("a\nb", 3) == "a b"
    assert fitting([]) == [] and len(fitting([ReadStep(text="x" * 50_000, behaviour="deduce")] * 2)) == 1
