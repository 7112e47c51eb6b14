"""The report as one HTML page that needs no network.

    Path("report.html").write_text(render(data), encoding="utf-8")

Everything that comes from models and files is text: jinja2 escapes it, JSON is embedded without any character
that could end its script element, and the page's Content-Security-Policy runs no script but the two it ships.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from titer.records.results import Interval
from titer.report import numbers, reader
from titer.report.articles import Reading, of_pair, of_rollouts, of_trace, reading
from titer.report.data import ReportData, TeacherComparison, TwoRuns
from titer.report.figures import figures
from titer.report.names import title
from titer.report.rows import change_rows, score_rows

_HERE: Final = Path(__file__).parent
_SCRIPTS: Final = ("plotly-basic.min.js", "page.js")

_WIDEST: Final = 2.0  # in units of their mean, two means that are not negative differ by no more

_SECTIONS: Final[Mapping[str, str]] = {
    "outcome": "What came out",
    "decisions": "What was decided, and why",
    "scores": "Scores",
    "training": "Training",
    "lengths": "Over the checkpoints",
    "teachers": "Teachers compared",
    "traces": "Traces to read",
    "rollouts": "Rollouts to read",
    "provenance": "How it was made",
}


class Whisker(NamedTuple):
    """An interval drawn in a line of text: places in [0, 100] of zero, both ends and the estimate."""

    zero: float
    low: float
    mid: float
    high: float


def render(data: ReportData) -> str:
    """The whole page. Characters that UTF-8 cannot hold (lone surrogates of model text) become "?"."""
    drawn = figures(data)
    return _page(
        "page.html.j2",
        kind="titer report",
        title=data.title,
        sections={name: text for name, text in _SECTIONS.items() if _shown(name, data, drawn)},
        figures=drawn,
        data=data,
        scores=score_rows(data.suites, data.differences),
        span=_span(v.accuracy for v in data.verdicts),
        feature_span=min(_span(row.relative for row in data.teachers.rows), _WIDEST) if data.teachers else 1.0,
        readings=_readings(data),
    )


def _readings(data: ReportData) -> dict[str, Reading]:
    articles = {
        "trace-pairs": [of_pair(pair) for pair in data.trace_pairs],
        "traces": [of_trace(item) for item in data.traces],
        "rollouts": [of_rollouts(pair) for pair in data.pairs],
    }
    return {name: reading(some) for name, some in articles.items() if some}


def _page(template: str, *, figures: Mapping[str, Any], **shown: Any) -> str:
    page = (
        _environment()
        .get_template(template)
        .render(
            figures=figures,
            figures_json=safe_json(figures),
            css=_static("page.css"),
            scripts=[_static(name) for name in _SCRIPTS],
            policy=_policy(),
            **shown,
        )
    )
    return page.encode("utf-8", "replace").decode("utf-8")


def render_comparison(comparison: TeacherComparison) -> str:
    """Two teachers compared, alone on a page of its own."""
    return render(ReportData(title=f"{comparison.a} and {comparison.b}", teachers=comparison))


_RUN_SECTIONS: Final[Mapping[str, str]] = {
    "scores": "B against A",
    "recipe": "What differs in the recipes",
    "decisions": "What was decided otherwise",
    "lengths": "What the change is made of",
    "rollouts": "Gained and lost, to read",
}


def render_two_runs(found: TwoRuns) -> str:
    """Two runs held against each other, as one page."""
    return _page(
        "two_runs.html.j2",
        kind="titer report: two runs",
        title=f"{found.a} and {found.b}",
        sections=_RUN_SECTIONS,
        figures=figures(ReportData(title="", differences=found.differences)),
        found=found,
        rows=change_rows(found),
        scores=score_rows(found.suites, found.differences),
        reading=reading([of_rollouts(pair) for pair in found.pairs]),
    )


def _shown(section: str, data: ReportData, drawn: Mapping[str, Any]) -> bool:
    return bool(
        {
            "outcome": data.verdicts or data.headline,
            "decisions": data.decisions,
            "scores": data.suites or "differences" in drawn,
            "training": drawn.keys() & {"loss", "token_accuracy", "lr", "rewards"},
            "lengths": data.moves
            or drawn.keys() & {"axis_path", "score_path", "length_path", "termination_path", "parts"},
            "teachers": data.teachers,
            "traces": data.traces or data.trace_pairs or data.curation,
            "rollouts": data.pairs,
            "provenance": data.manifest,
        }[section]
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "title": title,
        "plain": numbers.plain,
        "capital": lambda text: text[:1].upper() + text[1:],
        "number": numbers.number,
        "passed": numbers.passed,
        "percent": numbers.percent,
        "percent_range": numbers.percent_range,
        "mean_tokens": numbers.mean_tokens,
        "mean_tokens_range": numbers.mean_tokens_range,
        "points": numbers.points,
        "change": numbers.change,
        "duration": numbers.duration,
        "feature": numbers.feature,
        "feature_change": numbers.feature_change,
        "whisker": whisker,
        "bare": reader.bare,
        "opening": reader.opening,
        "letter": reader.letter,
        "look_class": reader.look_class,
    }
    environment.globals |= {
        "each": numbers.EACH,
        "call_marks": numbers.CALL_MARKS,
        "label_marks": numbers.LABEL_MARKS,
        "more_marks": numbers.MORE_MARKS,
        "looks": reader.LOOKS,
    }
    return environment


@cache
def _static(name: str) -> Markup:
    return Markup((_HERE / "static" / name).read_text(encoding="utf-8"))  # noqa: S704 - our own files


@cache
def _policy() -> str:
    """Nothing is loaded, and only the page's own scripts run, known by their hash."""
    hashes = (base64.b64encode(hashlib.sha256(_static(name).encode()).digest()).decode() for name in _SCRIPTS)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def safe_json(value: object) -> Markup:
    """`value` as JSON that stays inside a script element: <, >, &, U+2028 and U+2029 escaped, nan as null."""
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing is left in it that HTML reads


def _finite(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _span(changes: Iterable[Interval]) -> float:
    """The largest distance from zero that any of the intervals reaches: one scale for all of them."""
    ends = [abs(end) for change in changes for end in change if math.isfinite(end)]
    return max(ends, default=0.0) or 1.0


def whisker(change: Interval, span: float) -> Whisker | None:
    """Where to draw a change on a line from −span to +span; None for an unknown interval."""
    if not math.isfinite(change.low):
        return None
    low, mid, high = (round(50 + 46 * value / span, 2) for value in change)
    return Whisker(50.0, low, mid, high)
