"""Parquet tables of plain rows.

write_table(path, [{"step": 0, "loss": 1.5}])
rows = read_table(path)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from titer.errors import InputError
from titer.store.atomic import write_bytes
from titer.store.layout import STAGE_AGAIN


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of plain values as one Parquet file, whole or not at all. A column that a row lacks is null there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = list(rows)
    columns = dict.fromkeys(name for row in found for name in row)  # Arrow takes those of the first row
    table = pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in found])
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    write_bytes(path, buffer.getvalue().to_pybytes())


def read_table(path: Path) -> list[dict[str, Any]]:
    """All rows of a Parquet file. Raises InputError when it is missing, damaged or not Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_table(path).to_pylist())
    except FileNotFoundError:
        raise InputError("no such table", file=path, remedy="run the stage that writes it") from None
    # of damage Arrow says OSError, a bad encoding is a ValueError
    except (pa.ArrowException, OSError, ValueError) as error:
        fault = f"not a Parquet table: {str(error)[:200]}"
        raise InputError(fault, file=path, remedy=STAGE_AGAIN) from None
