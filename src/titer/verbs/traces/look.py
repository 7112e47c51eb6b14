"""One trace to read, and what every step of every trace does.

show("traces.jsonl", teacher="R1").steps
label("traces.jsonl", out="steps.jsonl").behaviours
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.judges import as_lines
from titer.records import Trace, read_traces
from titer.records.reading import OnBad
from titer.records.writing import disk_faults
from titer.traces import BEHAVIOURS, cut_text, read_steps, text_of
from titer.traces.judge import ModelLabeller, RuleLabeller, agreement
from titer.traces.steps import Step
from titer.verbs.idle import refuse_half
from titer.verbs.traces.outputs import refuse_overwriting, write_result


class Labelled(NamedTuple):
    """How many steps were labelled, how often as what, and how far a judge agrees with the rules (None without one).

    `unreadable` counts steps of which the judge gave no readable verdict.
    """

    traces: int
    steps: int
    behaviours: dict[str, int]
    unreadable: int
    agreement: float | None
    kappa: float | None
    file: Path
    dropped: list[str]  # rows that could not be read


class ShownTrace(NamedTuple):
    """A trace with its steps, and the rows before it that could not be read."""

    trace: Trace
    steps: list[Step]
    dropped: list[str]


def show(file: str | Path, *, id: str | None = None, teacher: str | None = None, on_bad: OnBad = "stop") -> ShownTrace:
    """One trace with its steps: the first, or the first whose teacher contains what is asked for and whose id, or its
    problem's, is `id` or, where none is, contains it."""
    bad = list[InputError]()
    near: Trace | None = None
    for trace in read_traces(file, on_bad=on_bad, dropped=bad):
        if teacher is not None and teacher.lower() not in trace.teacher.lower():
            continue
        if id is None or id in (trace.id, trace.problem_id):
            return ShownTrace(trace, read_steps(text_of(trace)), [str(error) for error in bad])
        if near is None and (id in trace.id or id in trace.problem_id):
            near = trace
    if near is not None:
        return ShownTrace(near, read_steps(text_of(near)), [str(error) for error in bad])
    raise InputError("no such trace here", file=file, remedy="look at the ids and teachers of the file")


def label(
    file: str | Path,
    *,
    out: str | Path,
    server: str | None = None,
    model: str = "",
    on_bad: OnBad = "stop",
    said: Callable[[str], None] = lambda _: None,
) -> Labelled:
    """Write every trace's steps with their behaviours: a line of JSON a trace, `{"id", "steps": [{text, behaviour}]}`.

    The rules label, or the `model` behind the OpenAI-compatible `server`, whose verdicts are kept beside `out` (ending
    .verdicts.jsonl): the same call goes on where it stopped. The taxonomy is ours; arXiv 2604.01702 publishes none.
    """
    refuse_half(server, model)
    cache = Path(out).with_suffix(".verdicts.jsonl")
    refuse_overwriting([out, *([cache] if server else [])], [file])
    bad = list[InputError]()
    traces = list(read_traces(file, on_bad=on_bad, dropped=bad))
    steps = [cut_text(text_of(trace)) for trace in traces]
    rules = RuleLabeller().label(steps)
    labels: list[list[str | None]] = rules
    if server:
        from titer.generate import ServerGenerator

        with disk_faults(cache):
            judge = ModelLabeller(ServerGenerator(server, model), cache=cache, said=as_lines(said))
            labels = judge.label(steps)
    rows = [
        {"id": trace.id, "steps": [{"text": t, "behaviour": b} for t, b in zip(parts, found, strict=True)]}
        for trace, parts, found in zip(traces, steps, labels, strict=True)
    ]
    write_result(Path(out), "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    flat = [name for found in labels for name in found]
    agreed = agreement(rules, labels) if server else None
    return Labelled(
        len(traces),
        len(flat),
        {name: flat.count(name) for name in BEHAVIOURS},
        flat.count(None),
        agreed.share if agreed else None,
        agreed.kappa if agreed else None,
        Path(out),
        [str(error) for error in bad],
    )
