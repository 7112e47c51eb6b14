"""Which traces of a file to keep, and candidates without abandoned lines.

filter("traces.jsonl", out="kept", by="cue_share", keep=0.9).kept
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from titer.errors import InputError
from titer.records import Problem, Trace, read_problems, read_traces, write_records
from titer.records.writing import disk_faults
from titer.traces import curate
from titer.traces import prune as prune_trace
from titer.traces.choice import STEP_RATIO
from titer.verbs.sampling import checked_problems
from titer.verbs.traces.outputs import refuse_overwriting, write_result

OnBad = Literal["stop", "drop"]


class Filtered(NamedTuple):
    """What a filter kept and dropped.

    `rules` counts dropped traces by rule; `cutoff` is the largest value kept (nan without a ranking), `unranked` how
    many are kept because they have no rank. Dropping as many by length alone would drop those of more than
    `length_cutoff` characters, and `length_overlap` of the ones dropped by rank (0 and nan where none was). `files` are
    `kept.jsonl`, `control.jsonl` (as many at random, to test any gain against) and `dropped.jsonl` (id, rule, reason).
    """

    kept: int
    rules: dict[str, int]
    cutoff: float
    unranked: int
    length_cutoff: int
    length_overlap: float
    files: list[Path]
    dropped: list[str]


class PrunedFile(NamedTuple):
    """How many candidates were written, and why the other traces have none. The answers of `wrong` do not verify."""

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
    to be right; `evaluation` are files of problems whose near duplicates must go. Raises InputError for settings that
    contradict each other, and for a file that would be written over.
    """
    _refuse_contradictions(by, keep, shortest, longest, paired_with)
    folder, bad = Path(out), list[InputError]()
    files = [folder / f"{name}.jsonl" for name in ("kept", "control", "dropped")]
    refuse_overwriting(files, [file, problems, *evaluation])
    rows = list(read_traces(file, on_bad=on_bad, dropped=bad))
    if verified:
        known = _known(rows, problems, on_bad, bad)
        _refuse_unverifiable(rows, known, file)
        rows = _graded(rows, known)
    held_out = [problem for suite in evaluation for problem in read_problems(suite, on_bad=on_bad, dropped=bad)]
    curation = curate(
        rows,
        keep=keep,
        by=by,
        verified=verified,
        finished=finished,
        per_problem=per_problem,
        shortest=shortest,
        longest=longest,
        near=near,
        evaluation=held_out,
        paired_with=paired_with,
        seed=seed,
    )
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
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
        curation.unranked,
        curation.length_cutoff,
        curation.length_overlap,
        files,
        [str(error) for error in bad],
    )


def prune(
    file: str | Path, *, out: str | Path, problems: str | Path | None = None, on_bad: OnBad = "stop"
) -> PrunedFile:
    """Write candidates without the lines of attack that lead nowhere; each is marked in its id and its meta.

    Only whole traces whose answer verifies have one: graded by `problems` or an answer beside the trace, else by what
    the file says is correct. Raises InputError where neither is known of any trace.
    """
    refuse_overwriting([out], [file, problems])
    bad = list[InputError]()
    rows = list(read_traces(file, on_bad=on_bad, dropped=bad))
    known = _known(rows, problems, on_bad, bad)
    _refuse_unverifiable(rows, known, file)
    candidates, refused = list[Trace](), Counter[str]()
    for trace in rows:
        found = prune_trace(trace)
        if found.trace is None:
            broken = found.refused.startswith(("step ", "the response "))
            refused["what stays refers to a step that would go" if broken else found.refused] += 1
        elif trace.truncated:
            refused["the trace is truncated"] += 1
        elif trace.correct is None and trace.problem_id not in known:
            refused["no answer to verify"] += 1
        else:
            candidates.append(found.trace)
    right = [trace for trace in _graded(candidates, known) if trace.correct]
    write_records(Path(out), right)
    wrong = len(candidates) - len(right)
    return PrunedFile(len(right), dict(refused), wrong, Path(out), [str(error) for error in bad])


def _refuse_contradictions(by: str, keep: float, shortest: int | None, longest: int | None, paired_with: str) -> None:
    if not 0 < keep <= 1:
        raise InputError(f"keep is {keep}", field="keep", remedy="give a share above 0, at most 1")
    if shortest is not None and longest is not None and shortest > longest:
        fault = f"shortest is {shortest}, longest {longest}: no trace is both"
        raise InputError(fault, field="shortest", remedy="give the smaller number as shortest")
    if paired_with and by != STEP_RATIO:
        fault = f"{paired_with!r} to pair with, but {by} ranks by no pairs"
        raise InputError(fault, field="paired_with", remedy=f"rank by {STEP_RATIO}, or name no teacher")


def _known(
    traces: Sequence[Trace], problems: str | Path | None, on_bad: OnBad, bad: list[InputError]
) -> dict[str, Problem]:
    """The problems that traces can be graded by: those of a file, and those that traces carry themselves."""
    from titer.pipeline.data import problem_of

    known = {problem.id: problem for problem in checked_problems(problems, on_bad, bad)} if problems else {}
    for trace in traces:
        if trace.answer and trace.problem_id not in known:
            known[trace.problem_id] = problem_of(trace)
    return known


def _refuse_unverifiable(traces: Sequence[Trace], known: Mapping[str, Problem], file: str | Path) -> None:
    if all(trace.correct is None and trace.problem_id not in known for trace in traces):
        raise InputError(
            "no trace has an answer to verify against", file=file, field="answer", remedy="give --problems FILE"
        )


def _graded(traces: Sequence[Trace], known: Mapping[str, Problem]) -> list[Trace]:
    """The traces with `correct` graded where it can be; what a file says itself stands where it cannot."""
    from titer.pipeline.stages import verify_traces

    gradable = [trace for trace in traces if trace.problem_id in known]
    graded = {trace.id: trace for trace in verify_traces(gradable, known)}
    return [graded.get(trace.id, trace) for trace in traces]


def _write_dropped(file: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    lines = [json.dumps({"id": i, "rule": rule, "reason": reason}, ensure_ascii=False) for i, rule, reason in rows]
    write_result(file, "".join(line + "\n" for line in lines))
