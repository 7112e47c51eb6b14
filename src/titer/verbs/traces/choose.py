"""Which traces of a file to keep, and candidates without abandoned lines.

filter("traces.jsonl", out="kept", by="cue_share", keep=0.9).kept
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.records import Trace, read_problems, read_traces, write_records
from titer.records.reading import OnBad
from titer.records.writing import disk_faults
from titer.traces import prune as prune_trace
from titer.traces.choice import Choice, Facts, choose, facts_of, refuse_contradictions
from titer.verbs.traces.grading import graded, is_gradable, problems_of, read_gradable, refuse_unverifiable
from titer.verbs.traces.outputs import refuse_overwriting, write_result
from titer.verbs.traces.sharded import Soundness, choose_shards

KEEP = 0.9  # of what is ranked, as in arXiv 2604.01702


class Filtered(NamedTuple):
    """What a filter kept and dropped.

    `rules` counts dropped traces by rule; `cutoff` is the largest value kept (nan without a ranking), `unranked` how
    many are kept because they have no rank. Dropping as many by length alone would drop those of more than
    `length_cutoff` characters, and `length_overlap` of the ones dropped by rank (0 and nan where none was). `files` are
    `kept.jsonl`, `control.jsonl` (as many at random, to test any gain against) and `dropped.jsonl` (id, rule, reason);
    on a cluster the first two are folders.
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
    keep: float | None = None,
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
    cluster: str | None = None,
    on_bad: OnBad = "stop",
) -> Filtered:
    """Choose traces of a file and write what is kept, a random control of the same size, and what was dropped.

    The settings are those of `titer.traces.curate`, `keep` .9 where there is something to rank by. `problems` are
    used to verify answers that the traces do not say to be right; `evaluation` are files of problems whose near
    duplicates must go. With a `cluster` (`auto`, an address, or `local`) the files of a folder are read and written
    by workers of Ray, and `kept` and `control` are folders that get a part for each that has some. Raises
    InputError for settings that contradict each other, and for a file that would be written over.
    """
    _refuse_share(by, keep)
    refuse_contradictions(by, shortest, longest, paired_with)
    folder, bad = Path(out), list[InputError]()
    names = ("kept", "control") if cluster else ("kept.jsonl", "control.jsonl")
    files = [folder / name for name in (*names, "dropped.jsonl")]
    refuse_overwriting(files, [file, problems, *evaluation])
    if problems and not verified:
        raise InputError("problems to verify by, and nothing to be verified", field="problems", remedy="add --verified")
    sound = Soundness(by, verified, finished)
    settings: dict[str, Any] = {
        "keep": KEEP if keep is None else keep,
        "by": by,
        "per_problem": per_problem,
        "shortest": shortest,
        "longest": longest,
        "near": near,
        "evaluation": [one for suite in evaluation for one in read_problems(suite, on_bad=on_bad, dropped=bad)],
        "paired_with": paired_with,
        "seed": seed,
    }
    if cluster:
        known = problems_of(problems, on_bad, bad) if verified else {}
        facts, choice = choose_shards(file, folder, cluster, known, sound, settings, on_bad, bad)
    else:
        facts, choice = _choose(file, folder, problems, sound, settings, on_bad, bad)
    _write_dropped(files[2], [(facts[drop.place].id, drop.rule, drop.reason) for drop in choice.dropped])
    return Filtered(
        len(choice.kept),
        dict(Counter(drop.rule for drop in choice.dropped)),
        choice.cutoff,
        choice.unranked,
        choice.length_cutoff,
        choice.length_overlap,
        files,
        [str(error) for error in bad],
    )


def _choose(
    file: str | Path,
    folder: Path,
    problems: str | Path | None,
    sound: Soundness,
    settings: Mapping[str, Any],
    on_bad: OnBad,
    bad: list[InputError],
) -> tuple[list[Facts], Choice]:
    if sound.verified:
        rows, known = read_gradable(file, problems, on_bad, bad)
        refuse_unverifiable((is_gradable(row, known) for row in rows), file)
        rows = graded(rows, known)
    else:
        rows = list(read_traces(file, on_bad=on_bad, dropped=bad))
    facts = facts_of(rows, **sound._asdict())
    choice = choose(facts, **settings)
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_records(folder / "kept.jsonl", [rows[i] for i in choice.kept])
    write_records(folder / "control.jsonl", [rows[i] for i in choice.control])
    return facts, choice


def prune(
    file: str | Path, *, out: str | Path, problems: str | Path | None = None, on_bad: OnBad = "stop"
) -> PrunedFile:
    """Write candidates without the lines of attack that lead nowhere; each is marked in its id and its meta.

    Only whole traces whose answer verifies have one: graded by `problems` or an answer beside the trace, else by what
    the file says is correct. Raises InputError where neither is known of any trace.
    """
    refuse_overwriting([out], [file, problems])
    bad = list[InputError]()
    rows, known = read_gradable(file, problems, on_bad, bad)
    refuse_unverifiable((is_gradable(row, known) for row in rows), file)
    candidates, refused = list[Trace](), Counter[str]()
    for trace in rows:
        found = prune_trace(trace)
        if found.trace is None:
            broken = found.refused.startswith(("step ", "the response "))
            refused["what stays refers to a step that would go" if broken else found.refused] += 1
        elif trace.truncated:
            refused["the trace is truncated"] += 1
        elif not is_gradable(trace, known):
            refused["no answer to verify"] += 1
        else:
            candidates.append(found.trace)
    right = [trace for trace in graded(candidates, known) if trace.correct]
    write_records(Path(out), right)
    wrong = len(candidates) - len(right)
    return PrunedFile(len(right), dict(refused), wrong, Path(out), [str(error) for error in bad])


def _refuse_share(by: str, keep: float | None) -> None:
    if keep is not None and by == "none":
        raise InputError("a share to keep, and nothing to rank by", field="keep", remedy="name a feature with --by")
    if keep is not None and not 0 < keep <= 1:
        raise InputError(f"keep is {keep}", field="keep", remedy="give a share above 0, at most 1")


def _write_dropped(file: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    lines = [json.dumps({"id": i, "rule": rule, "reason": reason}, ensure_ascii=False) for i, rule, reason in rows]
    write_result(file, "".join(line + "\n" for line in lines))
