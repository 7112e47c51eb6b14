"""A folder of trace files, each measured or filtered by a worker of a Ray cluster.

measure_shards("traces/", out="features/", cluster="auto").means["R1"]["propose_share"]
filter("traces/", out="chosen/", cluster="auto")  # titer.verbs.traces.filter, by choose_shards

The parts that come out are, one behind the other, what the verbs write for the folder without a cluster, row for row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.records import Problem, Trace, read_traces, write_records
from titer.records.formats import is_parquet, shards_of
from titer.records.reading import OnBad
from titer.records.writing import disk_faults
from titer.traces.choice import Choice, Facts, choose, facts_of
from titer.traces.stream import Row, measure_stream
from titer.traces.table import write_stream
from titer.verbs.traces.cluster import clear_parts, each_shard, hashed, packed, refuse_doubles, unpacked
from titer.verbs.traces.grading import (
    answers_in,
    graded,
    is_gradable,
    others_among,
    refuse_unverifiable,
    without_others,
)
from titer.verbs.traces.measure import Means, Measured, tallied
from titer.verbs.traces.outputs import refuse_overwriting


def measure_shards(folder: str | Path, *, out: str | Path, cluster: str, on_bad: OnBad = "stop") -> Measured:
    """Measure each file of a folder on the cluster at `cluster`, as `each_shard` takes it, and write
    `part-00000.parquet`, … into `out`, in the order of the files' names.

    Raises InputError as `measure` does, for an id that stands in two files, and without Ray.
    """
    shards, parts = shards_of(Path(folder)), Path(out)
    refuse_overwriting([parts], [folder])
    with disk_faults(parts):
        clear_parts(parts)
    asked = [
        {"shard": str(shard.resolve()), "part": str(parts.resolve() / f"part-{i:05d}.parquet"), "on_bad": on_bad}
        for i, shard in enumerate(shards)
    ]
    found = each_shard(cluster, _measure, asked)
    refuse_doubles([part["ids"] for part in found], shards)
    totals: dict[str, Means] = {}
    for part in found:
        for teacher, (sums, counts) in part["totals"].items():
            totals.setdefault(teacher, Means()).merge(sums, counts)
    return Measured(
        sum(len(part["ids"]) for part in found),
        {teacher: total.means() for teacher, total in sorted(totals.items())},
        [line for part in found for line in part["dropped"]],
    )


def _measure(shard: str, part: str, on_bad: OnBad) -> dict[str, Any]:
    """A worker's part: the hashed ids of its rows, sums and counts of features by teacher, dropped rows."""
    dropped: list[InputError] = []
    totals: dict[str, Means] = {}
    ids: list[int] = []

    def noted(rows: Iterator[list[Row]]) -> Iterator[list[Row]]:
        for batch in rows:
            ids.extend(hashed(row["id"]) for row in batch)
            yield batch

    traces = read_traces(Path(shard), on_bad=on_bad, dropped=dropped)
    write_stream(Path(part), noted(tallied(measure_stream(traces, workers=1), totals)))
    sums = {teacher: [means.total.tolist(), means.count.tolist()] for teacher, means in totals.items()}
    return {"ids": ids, "totals": sums, "dropped": [str(error) for error in dropped]}


class Soundness(NamedTuple):
    """What `titer.traces.choice.facts_of` is asked for."""

    by: str
    verified: bool
    finished: bool


def choose_shards(
    folder: str | Path,
    out: Path,
    cluster: str,
    known: Mapping[str, Problem],
    sound: Soundness,
    settings: Mapping[str, Any],
    on_bad: OnBad,
    bad: list[InputError],
) -> tuple[list[Facts], Choice]:
    """Filter the files of a folder: `kept` and `control` in `out` get a part for each file that has some.

    What is known of each trace is found by the workers, the choice is made here with the `settings` of
    `titer.traces.choice.choose`, and the workers write the parts. Dropped rows join `bad`. Raises InputError as
    `filter` does, for an id that stands in two files, and without Ray.
    """
    shards = shards_of(Path(folder))
    asked = [{"shard": str(shard.resolve()), "on_bad": on_bad} for shard in shards]
    answers = _answers_by_shard(cluster, asked, known) if sound.verified else [{} for _ in shards]
    own = [[name for name in mine if name in known] for mine in answers]
    how = sound._asdict() | {"prompts": bool(settings["near"] or settings["evaluation"])}
    looks = [one | how | {"known": mine, "given": given} for one, mine, given in zip(asked, answers, own, strict=True)]
    found = each_shard(cluster, _look, looks)
    if sound.verified:
        refuse_unverifiable((part["gradable"] for part in found), folder)
    refuse_doubles([[hashed(fact[0]) for fact in part["facts"]] for part in found], shards)
    bad += [unpacked(fault) for part in found for fault in part["dropped"]]
    facts = [Facts(*fact) for part in found for fact in part["facts"]]
    choice = choose(facts, **settings)
    sizes = [len(part["facts"]) for part in found]
    writes: list[dict[str, Any]] = [
        one | {"correct": part["correct"], "others": part["others"], "parts": {}}
        for one, part in zip(asked, found, strict=True)
    ]
    for name, places in (("kept", choice.kept), ("control", choice.control)):
        with disk_faults(out):
            clear_parts(out / name)
        for i, (shard, chosen) in enumerate(zip(shards, _by_shard(places, sizes), strict=True)):
            ending = "parquet" if is_parquet(shard) else "jsonl"
            writes[i]["parts"][str((out / name).resolve() / f"part-{i:05d}.{ending}")] = chosen
    each_shard(cluster, _write, writes)
    return facts, choice


def _answers_by_shard(
    cluster: str, asked: Sequence[Mapping[str, Any]], known: Mapping[str, Problem]
) -> list[dict[str, Any]]:
    """For each shard the problems that its traces are graded by: those `known`, and those that a trace of any shard
    carries itself, the first of each."""
    carried = each_shard(cluster, _answers, asked)
    every = {name: asdict(problem) for name, problem in known.items()}
    for part in carried:
        every = part["carried"] | every
    return [{name: every[name] for name in part["problems"] if name in every} for part in carried]


def _answers(shard: str, on_bad: OnBad) -> dict[str, Any]:
    """The problems that a shard's traces are of, and those that they carry."""
    rows = list(read_traces(Path(shard), on_bad=on_bad, dropped=[]))
    carried = {name: asdict(problem) for name, problem in answers_in(rows, {}).items()}
    return {"problems": sorted({row.problem_id for row in rows}), "carried": carried}


def _look(
    shard: str,
    on_bad: OnBad,
    by: str,
    verified: bool,
    finished: bool,
    prompts: bool,
    known: dict[str, Any],
    given: list[str],
) -> dict[str, Any]:
    """What is known of each trace of a shard, and which are right; prompts only where they are asked for. Of the
    problems `known` those `given` are not the traces' own."""
    dropped: list[InputError] = []
    rows: list[Trace] = list(read_traces(Path(shard), on_bad=on_bad, dropped=dropped))
    problems = {name: Problem(**problem) for name, problem in known.items()}
    others = others_among(rows, {name: one for name, one in problems.items() if name not in set(given)}, shard)
    rows = without_others(rows, others, on_bad, dropped)
    gradable = any(is_gradable(row, problems) for row in rows)
    if verified:
        rows = graded(rows, problems)
    facts = facts_of(rows, by=by, verified=verified, finished=finished)
    return {
        "facts": facts if prompts else [fact._replace(question="") for fact in facts],
        "correct": [row.correct for row in rows],
        "gradable": gradable,
        "others": list(others),
        "dropped": [packed(error) for error in dropped],
    }


def _write(
    shard: str, on_bad: OnBad, correct: list[bool | None], others: list[int], parts: dict[str, list[int]]
) -> None:
    read, left_out = read_traces(Path(shard), on_bad=on_bad, dropped=[]), set(others)
    rows = [row for place, row in enumerate(read) if place not in left_out]
    traces = [replace(row, correct=right) for row, right in zip(rows, correct, strict=True)]
    for part, places in parts.items():
        if places:
            write_records(Path(part), [traces[place] for place in places])


def _by_shard(places: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Places among all traces as places within each shard."""
    starts = [0, *accumulate(sizes)]
    return [[place - start for place in places if start <= place < end] for start, end in pairwise(starts)]
