"""Which traces of a file to keep, and candidates without abandoned lines.

filter("traces.jsonl", out="kept", by="cue_share", keep=0.9).kept
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from titer.errors import InputError
from titer.records import Problem, Trace, read_problems, read_traces, write_records
from titer.store import write_text
from titer.traces import curate
from titer.traces import prune as prune_trace
from titer.traces.prune import Pruned

OnBad = Literal["stop", "drop"]


class Filtered(NamedTuple):
    """What a filter kept and dropped.

    `rules` counts dropped traces by rule; `cutoff` is the largest value kept (nan without a ranking).
    `length_overlap` is the share of those dropped by rank that dropping as many of the longest would have dropped too
    (nan where none was). `files` are `kept.jsonl`, `control.jsonl` (as many at random, to test any gain against) and
    `dropped.jsonl` (id, rule, reason).
    """

    kept: int
    rules: dict[str, int]
    cutoff: float
    length_overlap: float
    files: list[Path]
    dropped: list[str]


class PrunedFile(NamedTuple):
    """How many candidates were written, and why the other traces have none."""

    candidates: int
    refused: dict[str, int]
    wrong: int
    file: Path
    dropped: list[str]  # rows that could not be read


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
        curation.cutoff,
        curation.length_overlap,
        files,
        [str(error) for error in bad],
    )


def prune(
    file: str | Path, *, out: str | Path, problems: str | Path | None = None, on_bad: OnBad = "stop"
) -> PrunedFile:
    """Write candidates without the lines of attack that lead nowhere; each is marked in its id and its meta.

    With `problems`, or answers beside the traces, a candidate is written only when its answer verifies.
    """
    bad = list[InputError]()
    rows = list(read_traces(file, on_bad=on_bad, dropped=bad))
    found: list[Pruned] = [prune_trace(trace) for trace in rows]
    candidates = [one.trace for one in found if one.trace]
    refused: dict[str, int] = {}
    for one in found:
        if one.refused:
            broken = one.refused.startswith(("step ", "the response "))
            reason = "uses or speaks of a step that would go" if broken else one.refused
            refused[reason] = refused.get(reason, 0) + 1
    right = candidates
    if problems or any(trace.answer for trace in candidates):
        right = [trace for trace in _verified(candidates, file, problems) if trace.correct]
    write_records(Path(out), right)
    return PrunedFile(len(right), refused, len(candidates) - len(right), Path(out), [str(error) for error in bad])


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


def _write_dropped(file: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    lines = [json.dumps({"id": i, "rule": rule, "reason": reason}, ensure_ascii=False) for i, rule, reason in rows]
    write_text(file, "".join(line + "\n" for line in lines))
