"""Features of a file of traces, and their means.

measure("traces.jsonl", out="features.parquet").means["R1"]["propose_share"]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from titer.errors import InputError
from titer.records import read_traces
from titer.records.reading import OnBad
from titer.traces import FEATURES
from titer.traces.stream import Row, measure_stream
from titer.traces.table import write_stream
from titer.verbs.traces.outputs import refuse_overwriting


class Measured(NamedTuple):
    """How many traces were measured, each feature's mean per teacher ("" for those without one), and dropped rows."""

    traces: int
    means: dict[str, dict[str, float]]
    dropped: list[str]


def measure(
    file: str | Path,
    *,
    out: str | Path | None = None,
    workers: int = 1,
    cluster: str | None = None,
    on_bad: OnBad = "stop",
) -> Measured:
    """Every feature of every trace of a file, in constant memory; `out` (.parquet) gets a row a trace.

    Several `workers` are processes that import the script which calls this: call it below `if __name__ == "__main__"`.

    With a `cluster` (`auto`, an address, or `local`) the files of a folder are measured by workers of Ray, and `out` is
    a folder that gets a part for each. Raises InputError for what `read_traces` refuses, and for an `out` that is the
    input or cannot be written.
    """
    if cluster:
        from titer.verbs.traces.sharded import measure_shards

        if not out:
            raise InputError("a cluster without --out", field="--cluster", remedy="give a folder for the parts")
        return measure_shards(file, out=out, cluster=cluster, on_bad=on_bad)
    refuse_overwriting([out] if out else [], [file])
    dropped: list[InputError] = []
    totals: dict[str, Means] = {}
    rows = tallied(measure_stream(read_traces(file, on_bad=on_bad, dropped=dropped), workers=workers), totals)
    count = write_stream(Path(out), rows) if out else sum(len(batch) for batch in rows)
    means = {teacher: total.means() for teacher, total in sorted(totals.items())}
    return Measured(count, means, [str(error) for error in dropped])


class Means:
    """Running means of the features, nan left out."""

    def __init__(self) -> None:
        self.total, self.count = np.zeros(len(FEATURES)), np.zeros(len(FEATURES))

    def add(self, row: Row) -> None:
        """See one trace."""
        values = np.array([row[name] for name in FEATURES], dtype=float)
        there = ~np.isnan(values)
        self.total[there] += values[there]
        self.count[there] += 1

    def merge(self, sums: Sequence[float], counts: Sequence[float]) -> None:
        """Add what another has seen."""
        self.total += sums
        self.count += counts

    def means(self) -> dict[str, float]:
        """nan for a feature that no trace has."""
        return {
            name: float(total / count) if count else float("nan")
            for name, total, count in zip(FEATURES, self.total, self.count, strict=True)
        }


def tallied(batches: Iterable[list[Row]], totals: dict[str, Means]) -> Iterator[list[Row]]:
    """The same batches; `totals`, by teacher, see every row."""
    for batch in batches:
        for row in batch:
            totals.setdefault(row["teacher"], Means()).add(row)
        yield batch
