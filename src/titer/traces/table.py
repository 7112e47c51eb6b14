"""A table of features on disk, written as it is measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from titer.errors import InputError
from titer.records.writing import disk_faults, replacing
from titer.traces.features import FEATURES
from titer.traces.stream import Row


def write_stream(path: Path, batches: Iterable[list[Row]]) -> int:
    """Write batches of rows as Parquet in constant memory, whole or not at all, and return their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        raise InputError("features are written as Parquet", file=path, remedy="give a name that ends in .parquet")
    names = [("id", pa.string()), ("problem_id", pa.string()), ("teacher", pa.string()), ("correct", pa.bool_())]
    schema = pa.schema([*names, *((name, pa.float64()) for name in FEATURES)])
    count = 0
    with disk_faults(path), replacing(path) as file, pq.ParquetWriter(file, schema) as writer:
        for rows in batches:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count
