"""Records into files: whole or not at all, or appended and forced to disk.

    write_records("traces.parquet", traces)      # also .jsonl, .jsonl.gz, .jsonl.zst
    append_rollouts("rollouts.jsonl", batch)     # safe against a kill at any moment

What is written here reads back equal.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from titer.errors import InputError
from titer.records.formats import ENDINGS, is_json_lines, is_parquet, is_whole
from titer.records.rows import FIELD_TYPES, JSON_OBJECT, Record, to_row
from titer.records.schema import FinishReason, Rollout

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP = 1000
_TAIL_BLOCK = 1 << 16
_DISK_FAULTS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
}


def write_records(path: str | Path, records: Iterable[Record]) -> int:
    """Write records of one kind as JSON lines or Parquet, by the name's ending, and return their number.

    Streams. The file takes its name only when it is complete and on disk; until then an older file of that name
    stays as it was. In Parquet `meta` is a column of JSON text. Raises InputError for an ending that is none of
    the known ones and for a disk that takes no more, TypeError for records of two kinds.
    """
    path = Path(path)
    if not is_json_lines(path) and not is_parquet(path):
        raise InputError("a name of unknown ending", remedy=f"use {ENDINGS}", file=path)
    with disk_faults(path), replacing(path) as file:
        return _write_parquet(file, records) if is_parquet(path) else _write_lines(file, path, records)


def append_rollouts(path: str | Path, rollouts: Iterable[Rollout]) -> int:
    """Append rollouts to a plain JSONL file, force them to disk, and return their number.

    A last line that a killed writer left torn is removed first, as `read_rollouts(torn="drop")` leaves it out.
    Raises InputError when the disk takes no more.
    """
    lines = [_line(rollout) for rollout in rollouts]
    with disk_faults(Path(path)), Path(path).open("a+b") as file:
        _mend_tail(file)
        file.write(b"".join(lines))
        file.flush()
        os.fsync(file.fileno())
    return len(lines)


def _line(record: Record) -> bytes:
    return json.dumps(to_row(record), ensure_ascii=False).encode() + b"\n"


def _of_one_kind(records: Iterable[Record]) -> Iterator[Record]:
    kind = None
    for record in records:
        kind = kind or type(record)
        if type(record) is not kind:
            raise TypeError(f"{type(record).__name__} among records of kind {kind.__name__}")
        yield record


def _write_lines(file: BinaryIO, path: Path, records: Iterable[Record]) -> int:
    count = 0
    with _compressed(file, path.suffix.lower()) as stream:
        for record in _of_one_kind(records):
            stream.write(_line(record))
            count += 1
    return count


@contextmanager
def _compressed(file: BinaryIO, suffix: str) -> Iterator[IO[bytes]]:
    """A stream into `file`, which stays open."""
    if suffix == ".gz":
        # No name and no time in the header: equal records make equal files.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as stream:
            yield cast(IO[bytes], stream)
    elif suffix == ".zst":
        import zstandard

        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as stream:
            yield stream
    else:
        yield file


def _write_parquet(file: BinaryIO, records: Iterable[Record]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rest = _of_one_kind(records)
    first = next(rest, None)
    if first is None:
        pq.write_table(pa.table({}), file)
        return 0
    count, everything = 0, chain([first], rest)
    with pq.ParquetWriter(file, _arrow_schema(type(first)), compression="zstd") as writer:
        while rows := [_flat(record) for record in islice(everything, _ROW_GROUP)]:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=writer.schema))
            count += len(rows)
    return count


def _arrow_schema(kind: type[Record]) -> pa.Schema:
    import pyarrow as pa

    arrow = {int: pa.int64(), float | None: pa.float64(), bool: pa.bool_(), bool | None: pa.bool_()}
    texts = dict.fromkeys((str, str | None, FinishReason, JSON_OBJECT), pa.string())
    return pa.schema([(name, (arrow | texts)[of]) for name, of in FIELD_TYPES[kind].items()])


def _flat(record: Record) -> dict[str, Any]:
    row = to_row(record)
    return {k: json.dumps(v, ensure_ascii=False) if isinstance(v, dict) else v for k, v in row.items()}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place once it is on disk, and is removed if anything fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # two processes may write the same file
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk, so that a rename survives a crash: where the folder may be read, and its file
    system can do it. What was written stands all the same."""
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into an InputError. Other OSErrors may be the records' own (a network's)."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FAULTS:
            raise
        fault = f"cannot be written: {os.strerror(error.errno)}"
        raise InputError(fault, remedy="make room, or name another place", file=path) from error


def _mend_tail(file: BinaryIO) -> None:
    """End the last line if it is a whole object without newline; cut it off if it is torn."""
    tail = _after_last_newline(file)
    if tail and is_whole(tail):
        file.write(b"\n")
    elif tail:
        file.truncate(file.seek(0, os.SEEK_END) - len(tail))


def _after_last_newline(file: BinaryIO) -> bytes:
    position, blocks = file.seek(0, os.SEEK_END), list[bytes]()
    while position > 0:
        start = max(0, position - _TAIL_BLOCK)
        file.seek(start)
        _, newline, after = file.read(position - start).rpartition(b"\n")
        blocks.append(after)
        if newline:
            break
        position = start
    return b"".join(reversed(blocks))
