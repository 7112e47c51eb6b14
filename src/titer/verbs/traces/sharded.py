"""Features of a folder of trace files, each file measured by a worker of a Ray cluster.

measure_shards("traces/", out="features/", cluster="auto").means["R1"]["propose_share"]

The parts that come out are, one behind the other, what `titer.verbs.traces.measure` writes for the folder, row for row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from titer.errors import InputError
from titer.records.formats import shards_of
from titer.verbs.traces.measure import Means, Measured, OnBad, tallied


class _Part(NamedTuple):
    """What a worker says of a file, in plain values: rows, sums and counts by teacher, hashes of ids, a line for each
    dropped row, and of what stopped it fault, remedy, file, row and field."""

    rows: int
    totals: dict[str, list[list[float]]]
    ids: list[int]
    dropped: list[str]
    fault: list[Any]


def measure_shards(folder: str | Path, *, out: str | Path, cluster: str | None, on_bad: OnBad = "stop") -> Measured:
    """Measure each file of a folder on the cluster at `cluster` ("auto": the one this machine belongs to; None: one of
    this machine alone) and write `part-00000.parquet`, … into `out`, in the order of the files' names.

    Workers read and write the files themselves, so that both folders must be theirs too. Raises InputError as `measure`
    does, for an id that stands in two files, and without Ray.
    """
    shards, parts = shards_of(Path(folder)), Path(out)
    if parts.resolve() == Path(folder).resolve():
        raise InputError("the folder of the traces themselves", file=parts, remedy="give another --out")
    data = _ray_data(cluster)
    parts.mkdir(parents=True, exist_ok=True)
    asked = [
        {"shard": str(shard.resolve()), "part": str(parts.resolve() / f"part-{i:05d}.parquet"), "on_bad": on_bad}
        for i, shard in enumerate(shards)
    ]
    done = data.from_items(asked, override_num_blocks=len(asked)).map(_measured).take_all()
    found = [_unpacked(row) for row in sorted(done, key=lambda row: str(row["part"]))]
    for part in found:
        if part.fault:
            fault, remedy, file, row, field = part.fault
            raise InputError(fault, remedy=remedy, file=file, row=row, field=field)
    _refuse_doubles(found, shards)
    totals: dict[str, Means] = {}
    for part in found:
        for teacher, (sums, counts) in part.totals.items():
            totals.setdefault(teacher, Means()).merge(sums, counts)
    return Measured(
        sum(part.rows for part in found),
        {teacher: total.means() for teacher, total in sorted(totals.items())},
        [line for part in found for line in part.dropped],
    )


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """A worker's part, as JSON: Ray Data keeps columns, not objects."""
    return {"part": row["part"], "said": json.dumps(_measure(Path(row["shard"]), Path(row["part"]), row["on_bad"]))}


def _measure(shard: Path, part: Path, on_bad: OnBad) -> _Part:
    from titer.records import read_traces
    from titer.store import content_hash
    from titer.traces.stream import measure_stream
    from titer.traces.table import write_stream

    dropped: list[InputError] = []
    totals: dict[str, Means] = {}
    ids: list[int] = []

    def noted(rows: Any) -> Any:
        for batch in rows:
            ids.extend(int(content_hash(row["id"])[:15], 16) for row in batch)
            yield batch

    try:
        traces = read_traces(shard, on_bad=on_bad, dropped=dropped)
        count = write_stream(part, noted(tallied(measure_stream(traces, workers=1), totals)))
    except InputError as error:
        return _Part(0, {}, [], [], [error.fault, error.remedy, error.file, error.row, error.field])
    sums = {teacher: [means.total.tolist(), means.count.tolist()] for teacher, means in totals.items()}
    return _Part(count, sums, ids, [str(error) for error in dropped], [])


def _unpacked(row: Mapping[str, Any]) -> _Part:
    return _Part(*json.loads(row["said"]))


def _refuse_doubles(parts: list[_Part], shards: list[Path]) -> None:
    ids = np.array([one for part in parts for one in part.ids], dtype=np.int64)
    owner = np.repeat(np.arange(len(parts)), [len(part.ids) for part in parts])
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    if (counts > 1).any():
        place = owner[ids == ids[first[counts > 1][0]]]
        raise InputError(
            f"an id of {shards[place[0]].name} comes again in {shards[place[-1]].name}",
            field="id",
            file=shards[place[-1]],
            remedy="make the ids unique over all files",
        )


def _ray_data(cluster: str | None) -> Any:
    from titer.generate.workers.ray_engine import connected

    connected(cluster)
    import ray.data

    return ray.data
