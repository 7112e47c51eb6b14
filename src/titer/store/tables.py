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

STAGE_AGAIN = "remove the folder it is in, and its stage is run again"  # the remedy for a damaged file of a stage


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of plain values as one Parquet file, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([dict(row) for row in rows])
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
