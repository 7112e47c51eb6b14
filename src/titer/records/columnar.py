"""Rows of Parquet files and of folders that `datasets` saved, each as JSON could hold it.

    for row in parquet_rows(Path("traces.parquet")):
        row["messages"]

pyarrow is imported where a file needs it: reading JSON lines does not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 64
Decoder = Callable[[Any], Any]


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file. Whatever pyarrow raises of a damaged one is the caller's."""
    import pyarrow.parquet as pq

    # Without a buffer size a whole column chunk, often the whole file, is loaded at once.
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
            yield from _rows(batch)


def dataset_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of a folder that `datasets.Dataset.save_to_disk` wrote. Raises InputError for one that names no files.

    Its Arrow streams are read here directly: `load_from_disk` maps them, and resident memory grows to their size.
    """
    import pyarrow as pa

    for shard in _shards(folder):
        with pa.OSFile(str(shard)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                # the bytes are taken as they are; an offset that leads astray ends the process
                batch.validate(full=True)
                for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                    yield from _rows(batch.slice(start, _ROWS_AT_ONCE))


def _shards(folder: Path) -> list[Path]:
    try:
        state = json.loads((folder / "state.json").read_bytes())
        # .name: a shard lies in its folder, whatever the file says.
        return [folder / Path(entry["filename"]).name for entry in state["_data_files"]]
    except (ValueError, KeyError, TypeError):
        fault = "state.json names no data files"
        raise InputError(fault, remedy="save the dataset again with save_to_disk", file=folder) from None


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    decoders = {field.name: decode for field in batch.schema if (decode := _json_inside(field.type))}
    for row in batch.to_pylist():
        yield {key: _plain(_known(decoders.get(key), value)) for key, value in row.items()}


def _json_inside(kind: pa.DataType) -> Decoder | None:
    """What reads the JSON text in a column of that type; None where there is none.

    `datasets` makes a field whose type differs from row to row, as content that is text or a list of parts, one of JSON
    text (arrow.json), at any depth.
    """
    import pyarrow as pa

    if isinstance(kind, pa.JsonType):
        return json.loads
    if isinstance(kind, pa.StructType):
        found = {field.name: decode for field in kind if (decode := _json_inside(field.type))}
        return (lambda value: {k: _known(found.get(k), v) for k, v in value.items()}) if found else None
    if isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        inner = _json_inside(kind.value_type)
        return (lambda value: [_known(inner, one) for one in value]) if inner else None
    return None


def _known(decode: Decoder | None, value: Any) -> Any:
    return value if value is None or decode is None else decode(value)


def _plain(value: object) -> object:
    """A columnar value as JSON could hold it: dates and bytes become text."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
