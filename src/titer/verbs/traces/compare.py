"""Two teachers of a file, paired.

compare("traces.jsonl", a="R1", b="gpt-oss").comparison.features["propose_share"].difference
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from titer.errors import InputError
from titer.pipeline.reporting.reading import as_teachers
from titer.records import Trace, read_traces
from titer.records.reading import OnBad
from titer.report import render_comparison
from titer.traces import Comparison
from titer.traces import compare as compare_teachers
from titer.traces.compare import transition_rows
from titer.traces.features import Table
from titer.verbs.traces.outputs import refuse_overwriting, write_result

TEACHER = "teacher"


class Compared(NamedTuple):
    """Two teachers compared, and the rows that could not be read."""

    comparison: Comparison
    dropped: list[str]


def compare(
    file: str | Path,
    *,
    a: str,
    b: str,
    by: str = TEACHER,
    only: Literal["solved", "all"] = "solved",
    model: str | None = None,
    html: str | Path | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
) -> Compared:
    """Two teachers of one file on the problems they share; see `titer.traces.compare`.

    `by` says what `a` and `b` are names of where not of teachers: a key of the traces' meta, such as "source". With
    `model` the profile of its loss over the traces' tokens is compared too (`titer.train.tokens.token_loss`); traces
    beyond the model's context have none. With `on_bad="drop"` rows that cannot be read are listed in the result.
    """
    refuse_overwriting([html] if html else [], [file])
    bad = list[InputError]()
    rows: Iterable[Trace] = read_traces(file, on_bad=on_bad, dropped=bad)
    if by != TEACHER:
        rows = _named_by(list(rows), by, file)
    extra = _token_profiles(model) if model else None
    try:
        comparison = compare_teachers(rows, a=a, b=b, only=only, extra=extra, seed=seed)
    except InputError as error:
        if error.field == TEACHER:
            error.field, error.fault = by, error.fault.replace("fits no teacher", f"fits no {by}")
        raise
    if html:
        write_result(Path(html), render_comparison(as_teachers(comparison)))
    return Compared(comparison, [str(error) for error in bad])


def _named_by(traces: Sequence[Trace], key: str, file: str | Path) -> list[Trace]:
    """The traces with what stands under a key of their meta in the place of the teacher; "" where nothing does."""
    keys = sorted({name for trace in traces for name, value in trace.meta.items() if _names(value)})
    if key not in keys:
        fault, known = f"no trace has {key!r} in its meta", ", ".join([TEACHER, *keys])
        raise InputError(fault, file=file, field="by", remedy=f"use one of: {known}")
    return [replace(trace, teacher=str(value) if _names(value := trace.meta.get(key)) else "") for trace in traces]


def _names(value: object) -> bool:
    """Whether a value of a trace's meta can be the name of a side."""
    return isinstance(value, str | int) and value != ""


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain data, in the form that `titer traces compare --json` prints."""
    sides = dict(zip("ab", zip(comparison.correct, comparison.transitions, strict=True), strict=True))
    return {
        "a": comparison.a,
        "b": comparison.b,
        "problems": comparison.problems,
        "shared": comparison.shared,
        "correct": {side: correct for side, (correct, _) in sides.items()},
        "features": {name: difference._asdict() for name, difference in comparison.features.items()},
        "transitions": {side: transition_rows(shares) for side, (_, shares) in sides.items()},
    }


def _token_profiles(name: str) -> Callable[[Sequence[Trace]], Table]:
    """A function that gives each trace the profile of a model's loss over its tokens; nan where it does not fit."""
    from titer.models import context_length, load_model
    from titer.train import encode_all
    from titer.train.tokens.token_loss import PROFILE, profile, token_losses

    loaded = load_model(name)
    longest = context_length(None, loaded.model)

    def columns(traces: Sequence[Trace]) -> Table:
        samples = encode_all(traces, loaded.tokenizer, max_length=longest, too_long="drop", dropped=[])
        losses = token_losses(loaded.model, loaded.tokenizer, samples)
        found = {sample.trace_id: profile(loss) for sample, loss in zip(samples, losses, strict=True)}
        nothing = dict.fromkeys(PROFILE, float("nan"))
        return {name: np.array([found.get(trace.id, nothing)[name] for trace in traces]) for name in PROFILE}

    return columns
