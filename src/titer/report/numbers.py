"""Numbers as people read them: sensible digits, a true minus sign, "–" for what is unknown.

percent(0.6183), points(Interval(.02, .05, .08)), duration(754)   # "61.8 %", "+5.0 [+2.0, +8.0]", "12 min 34 s"
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from titer.records.results import Call, Difference, Interval, Label, SuiteSummary
from titer.report.data import FeatureRow, More

UNKNOWN: Final = "–"
EACH: Final = (
    "The intervals are 95 % each; the call of the run goes by wider ones, and so do verdicts over several checkpoints."
)

# Shapes as well as colours, so that nothing is lost in black and white.
CALL_MARKS: Final[Mapping[Call, str]] = {
    "better": "▲",
    "worse": "▼",
    "longer": "↦",
    "shorter": "↤",
    "cannot tell": "○",
}
LABEL_MARKS: Final[Mapping[Label, str]] = {
    "improving": "▲",
    "settled": "■",
    "recovered": "◆",
    "dipping": "◇",
    "degraded": "▼",
    "cannot tell": "○",
}
MORE_MARKS: Final[Mapping[More, str]] = {"A more": "◀", "B more": "▶", "cannot tell": "○"}


def number(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, thousands grouped, powers of ten only when far from one."""
    if not math.isfinite(value):
        return UNKNOWN
    if isinstance(value, int) or (value == round(value) and abs(value) < 1e15):
        text = f"{round(value):,}"
    elif abs(value) >= 10 ** (digits - 1):
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{digits}g}"
    mantissa, _, exponent = text.partition("e")
    return (f"{mantissa}e{int(exponent)}" if exponent else mantissa).replace("-", "−")


def mean_tokens(tokens: float) -> str:
    """A mean number of tokens: one decimal below a hundred."""
    return f"{tokens:,.{0 if abs(tokens) >= 100 else 1}f}" if math.isfinite(tokens) else UNKNOWN


def percent(rate: float) -> str:
    """A rate in [0, 1] as a percentage with one decimal."""
    return f"{100 * rate:.1f} %" if math.isfinite(rate) else UNKNOWN


class Passed(NamedTuple):
    """pass@k of a suite, and what guessing comes to there; None where there is nothing to guess from."""

    k: int
    rate: float
    guess: float | None


def passed(summary: SuiteSummary) -> Passed | None:
    """pass@k at the largest k; None where k is 1, which the accuracy is, and nothing can be guessed."""
    k = max(summary.pass_at, default=1)
    guess = summary.guess_at.get(k)
    return None if k == 1 and guess is None else Passed(k, summary.pass_at.get(k, math.nan), guess)


def passes(summary: SuiteSummary) -> str:
    """pass@k on one line, empty where there is none to show."""
    found = passed(summary)
    if found is None:
        return ""
    beside = "" if found.guess is None else f" (guessing {percent(found.guess)})"
    return f"@{found.k}: {percent(found.rate)}{beside}"


def percent_range(interval: Interval) -> str:
    """The ends of a rate's interval, in per cent."""
    return _range(interval, lambda rate: f"{100 * rate:.1f}")


def mean_tokens_range(interval: Interval) -> str:
    """The ends of a mean length's interval."""
    return _range(interval, mean_tokens)


def _range(interval: Interval, shown: Callable[[float], str]) -> str:
    if not math.isfinite(interval.low):
        return ""
    return f"{shown(interval.low)}–{shown(interval.high)}"


def signed(value: float, *, scale: float = 1.0, decimals: int = 1) -> str:
    """A change with its sign and `decimals` decimals, none where the whole part has three digits or more."""
    if not math.isfinite(value):
        return UNKNOWN
    scaled = value * scale
    return f"{scaled:+,.{0 if abs(scaled) >= 100 else decimals}f}".replace("-", "−")


def points(change: Interval, *, scale: float = 100.0, decimals: int = 1) -> str:
    """A change with its interval, in percentage points (or, with `scale` 1, in units of the measure)."""
    low, mid, high = (signed(end, scale=scale, decimals=decimals) for end in change)
    return f"{mid} [{low}, {high}]" if math.isfinite(change.low) else mid


def change(difference: Difference) -> str:
    """A difference's change: points for rates, tokens for lengths."""
    return points(difference.change, scale=1.0 if difference.measure == "tokens" else 100.0)


def feature(value: float, row: FeatureRow) -> str:
    """A teacher's mean of a feature: a percentage for shares."""
    return percent(value) if row.share else mean_tokens(value)


def feature_change(row: FeatureRow) -> str:
    """The difference of two teachers with its interval: points for shares, a decimal more for small ones."""
    scale = 100.0 if row.share else 1.0
    widest = max((abs(end) * scale for end in row.change if math.isfinite(end)), default=0.0)
    return points(row.change, scale=scale, decimals=2 if widest < 1 else 1)


def duration(seconds: float) -> str:
    """Wall time: "0.4 s", "12 min 34 s", "3 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plain(value: object) -> str:
    """Any piece of evidence on one line."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: UNKNOWN}[value]
    if isinstance(value, int | float):
        return number(value, 4)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(item) for item in value)
    return str(value)
