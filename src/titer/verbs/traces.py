"""Verbs on files of traces: measure, filter, compare, show, prune.

from titer.verbs import traces

traces.measure("traces.jsonl", out="features.parquet").means["propose_share"]
traces.filter("traces.jsonl", out="kept", by="cue_share", keep=0.9).kept
traces.compare("traces.jsonl", a="R1", b="gpt-oss").features["propose_share"]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from titer.errors import InputError
from titer.records import Problem, Trace, read_problems, read_traces, write_records
from titer.report import FeatureRow, ReadStep, TeacherComparison, render_comparison
from titer.store import write_text
from titer.traces import DESCRIPTIONS, FEATURES, Comparison, curate, read_steps, text_of
from titer.traces import compare as compare_teachers
from titer.traces import prune as prune_trace
from titer.traces.compare import transition_rows
from titer.traces.features import Table
from titer.traces.prune import Pruned
from titer.traces.steps import Step
from titer.traces.stream import Row, measure_stream
from titer.traces.table import write_stream

OnBad = Literal["stop", "drop"]


class Measured(NamedTuple):
    """How many traces were measured, each feature's mean per teacher ("" for all together), and dropped rows."""

    traces: int
    means: dict[str, dict[str, float]]
    dropped: list[str]


class Filtered(NamedTuple):
    """What a filter kept and dropped.

    `rules` counts dropped traces by rule; `cutoff` is the largest value kept; `length_overlap` is the share of those
    dropped by rank that dropping as many of the longest would have dropped too. `files` are `kept.jsonl`,
    `control.jsonl` (as many at random, to test any gain against) and `dropped.jsonl` (id, rule, reason).
    """

    kept: int
    rules: dict[str, int]
    cutoff: float | None
    length_overlap: float | None
    files: list[Path]
    dropped: list[str]


class PrunedFile(NamedTuple):
    """How many candidates were written, and why the other traces have none."""

    candidates: int
    refused: dict[str, int]
    wrong: int
    file: Path


class Shown(NamedTuple):
    """A trace with its steps."""

    trace: Trace
    steps: list[Step]


def measure(
    file: str | Path, *, out: str | Path | None = None, workers: int | None = None, on_bad: OnBad = "stop"
) -> Measured:
    """Every feature of every trace of a file, in constant memory; `out` (.parquet) gets a row a trace.

    Raises InputError for what `read_traces` refuses.
    """
    dropped: list[InputError] = []
    totals: dict[str, _Means] = {}
    rows = _tallied(measure_stream(read_traces(file, on_bad=on_bad, dropped=dropped), workers=workers), totals)
    count = write_stream(Path(out), rows) if out else sum(len(batch) for batch in rows)
    means = {teacher: total.means() for teacher, total in sorted(totals.items())}
    return Measured(count, means, [str(error) for error in dropped])


def filter(
    file: str | Path,
    *,
    out: str | Path,
    by: str = "cue_share",
    keep: float = 0.9,
    problems: str | Path | None = None,
    verified: bool = False,
    finished: bool = True,
    per_problem: int | None = None,
    shortest: int | None = None,
    longest: int | None = None,
    near: float | None = None,
    evaluation: Sequence[str | Path] = (),
    paired_with: str = "",
    seed: int = 0,
    on_bad: OnBad = "stop",
) -> Filtered:
    """Choose traces of a file and write what is kept, a random control of the same size, and what was dropped.

    The settings are those of `titer.traces.curate`. `problems` are used to verify answers that the traces do not say
    to be right; `evaluation` are files of problems whose near duplicates must go (with `near`, default 0.8 then).
    """
    bad: list[InputError] = []
    rows = list(read_traces(file, on_bad=on_bad, dropped=bad))
    if verified:
        rows = _verified(rows, file, problems)
    held_out = [problem for suite in evaluation for problem in read_problems(suite)]
    curation = curate(
        rows,
        keep=keep,
        by=by,
        verified=verified,
        finished=finished,
        per_problem=per_problem,
        shortest=shortest,
        longest=longest,
        near=near or (0.8 if held_out else None),
        evaluation=held_out,
        paired_with=paired_with,
        seed=seed,
    )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.jsonl" for name in ("kept", "control", "dropped")]
    write_records(files[0], curation.kept)
    write_records(files[1], curation.control)
    _write_dropped(files[2], [(drop.trace.id, drop.rule, drop.reason) for drop in curation.dropped])
    rules: dict[str, int] = {}
    for drop in curation.dropped:
        rules[drop.rule] = rules.get(drop.rule, 0) + 1
    return Filtered(
        len(curation.kept),
        rules,
        _number(curation.cutoff),
        _number(curation.length_overlap),
        files,
        [str(error) for error in bad],
    )


def compare(
    file: str | Path,
    *,
    a: str,
    b: str,
    only: Literal["solved", "all"] = "solved",
    model: str | None = None,
    html: str | Path | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
) -> Comparison:
    """Two teachers of one file on the problems they share; see `titer.traces.compare`.

    With `model` the profile of its loss over the traces' tokens is compared too (`titer.train.token_loss`); traces
    beyond the model's context have none.
    """
    rows = read_traces(file, on_bad=on_bad, dropped=[])
    extra = _token_profiles(model) if model else None
    comparison = compare_teachers(rows, a=a, b=b, only=only, extra=extra, seed=seed)
    if html:
        write_text(Path(html), render_comparison(comparison_data(comparison)))
    return comparison


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


def comparison_data(comparison: Comparison) -> TeacherComparison:
    """A comparison as the report shows it."""
    descriptions = dict(DESCRIPTIONS)
    if set(comparison.features) - set(DESCRIPTIONS):
        from titer.train.token_loss import PROFILE

        descriptions |= PROFILE
    rows = [
        FeatureRow(
            name=name,
            description=descriptions[name],
            a=found.a,
            b=found.b,
            low=found.difference[0],
            mid=found.difference[1],
            high=found.difference[2],
        )
        for name, found in comparison.features.items()
    ]
    return TeacherComparison(
        a=comparison.a,
        b=comparison.b,
        problems=comparison.problems,
        shared=comparison.shared,
        rows=rows,
        transitions_a=transition_rows(comparison.transitions[0]),
        transitions_b=transition_rows(comparison.transitions[1]),
    )


def steps_to_read(steps: Sequence[Step]) -> list[ReadStep]:
    """Steps as the report shows them."""
    return [ReadStep(text=step.text, behaviour=step.behaviour, line=step.line, dead=step.dead) for step in steps]


def show(file: str | Path, *, id: str | None = None, teacher: str | None = None) -> Shown:
    """One trace with its steps: the first, or the first whose id or teacher contains what is asked for."""
    for trace in read_traces(file):
        if (id is None or id in trace.id) and (teacher is None or teacher.lower() in trace.teacher.lower()):
            return Shown(trace, read_steps(text_of(trace)))
    raise InputError("no such trace here", file=file, remedy="look at the ids and teachers of the file")


def prune(
    file: str | Path, *, out: str | Path, problems: str | Path | None = None, on_bad: OnBad = "stop"
) -> PrunedFile:
    """Write candidates without the lines of attack that lead nowhere; each is marked in its id and its meta.

    With `problems`, or answers beside the traces, a candidate is written only when its answer verifies.
    """
    rows = list(read_traces(file, on_bad=on_bad, dropped=[]))
    found: list[Pruned] = [prune_trace(trace) for trace in rows]
    candidates = [one.trace for one in found if one.trace]
    refused: dict[str, int] = {}
    for one in found:
        if one.refused:
            reason = "uses or speaks of a step that would go" if one.refused.startswith("step ") else one.refused
            refused[reason] = refused.get(reason, 0) + 1
    right = candidates
    if problems or any(trace.answer for trace in candidates):
        right = [trace for trace in _verified(candidates, file, problems) if trace.correct]
    write_records(Path(out), right)
    return PrunedFile(len(right), refused, len(candidates) - len(right), Path(out))


def _token_profiles(name: str) -> Callable[[Sequence[Trace]], Table]:
    """A function that gives each trace the profile of a model's loss over its tokens; nan where it does not fit."""
    from titer.models import load_model
    from titer.train import encode_all
    from titer.train.token_loss import PROFILE, profile, token_losses

    loaded = load_model(name)
    longest = getattr(loaded.model.config, "max_position_embeddings", None)

    def columns(traces: Sequence[Trace]) -> Table:
        samples = encode_all(traces, loaded.tokenizer, max_length=longest, too_long="drop", dropped=[])
        losses = token_losses(loaded.model, loaded.tokenizer, samples)
        found = {sample.trace_id: profile(loss) for sample, loss in zip(samples, losses, strict=True)}
        nothing = dict.fromkeys(PROFILE, float("nan"))
        return {name: np.array([found.get(trace.id, nothing)[name] for trace in traces]) for name in PROFILE}

    return columns


def _verified(traces: Sequence[Trace], file: str | Path, problems: str | Path | None) -> list[Trace]:
    """The traces with `correct` graded where it can be; what a file says itself stands where it cannot."""
    from titer.pipeline.data import problem_of
    from titer.pipeline.stages import verify_traces

    known: dict[str, Problem] = {problem.id: problem for problem in read_problems(problems)} if problems else {}
    for trace in traces:
        if trace.answer and trace.problem_id not in known:
            known[trace.problem_id] = problem_of(trace)
    gradable = [trace for trace in traces if trace.problem_id in known]
    if not gradable and all(trace.correct is None for trace in traces):
        raise InputError(
            "no trace has an answer to verify against", file=file, field="answer", remedy="give --problems FILE"
        )
    graded = {trace.id: trace for trace in verify_traces(gradable, known)}
    return [graded.get(trace.id, trace) for trace in traces]


class _Means:
    """Running means of the features, nan left out."""

    def __init__(self) -> None:
        self.total, self.count = np.zeros(len(FEATURES)), np.zeros(len(FEATURES))

    def add(self, row: Row) -> None:
        values = np.array([row[name] for name in FEATURES], dtype=float)
        there = ~np.isnan(values)
        self.total[there] += values[there]
        self.count[there] += 1

    def means(self) -> dict[str, float]:
        return {
            name: float(total / count) if count else float("nan")
            for name, total, count in zip(FEATURES, self.total, self.count, strict=True)
        }


def _tallied(batches: Iterable[list[Row]], totals: dict[str, _Means]) -> Iterator[list[Row]]:
    for batch in batches:
        for row in batch:
            totals.setdefault(row["teacher"], _Means()).add(row)
        yield batch


def _write_dropped(file: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    lines = [json.dumps({"id": i, "rule": rule, "reason": reason}, ensure_ascii=False) for i, rule, reason in rows]
    write_text(file, "".join(line + "\n" for line in lines))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


__all__ = ["Filtered", "Measured", "PrunedFile", "Shown", "compare", "filter", "measure", "prune", "show"]
