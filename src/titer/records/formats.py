"""Rows out of files: JSON lines (plain, gzip, zstd), CSV, Parquet, dataset folders, folders of shards.

    for row in raw_rows(Path("traces.jsonl.zst")):
        print(row.file, row.number, decoded(row.raw))

Rows stream: what is in memory is one line, or one record batch of a columnar file (`columnar`).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from titer.errors import InputError
from titer.records.columnar import dataset_rows, parquet_rows
from titer.records.rows import json_object, type_name

ENDINGS = ".jsonl, .json or .ndjson (also with .gz or .zst), .parquet"
READ_ENDINGS = f"{ENDINGS}, .csv"
_JSON_NAME = re.compile(r"\.(?:jsonl|json|ndjson)(?:\.(?:gz|zst))?$", re.IGNORECASE)
_SPLIT_NAME = re.compile(r"(?:train|test|validation|valid|val|dev|eval)(?![a-z])", re.IGNORECASE)
LONGEST_LINE = 64 << 20  # bytes; ours


class Row(NamedTuple):
    """One row before it is understood: a JSON line as bytes, or a columnar file's row. `number` is from 1."""

    file: Path
    number: int
    raw: bytes | dict[str, Any]


def raw_rows(path: Path, *, empty_ok: bool = False) -> Iterator[Row]:
    """Every row of a file or folder. Raises InputError when it is missing, empty, damaged or of no known kind."""
    for source in _sources(path):
        row = None
        for row in _source_rows(source):
            yield row
        if row is None and not empty_ok:
            raise InputError("no rows: the file is empty", remedy="was it written to its end?", file=source)


def decoded(raw: bytes | dict[str, Any]) -> dict[str, Any]:
    """The row as a dict. Raises InputError for broken JSON, wrong encoding, or JSON that is no object."""
    if isinstance(raw, dict):
        return raw
    text = ""
    try:
        text = raw.decode("utf-8-sig")
        row = json.loads(text)
    except UnicodeDecodeError as error:
        fault = f"not UTF-8 at byte {error.start + 1} of the line"
        raise InputError(fault, remedy="save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        column = min(error.pos, len(text.rstrip())) + 1
        raise _broken(raw, f"broken JSON at column {column}: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # numbers of more than 4,300 digits, brackets without end
        raise _broken(raw, f"JSON beyond measure: {error}") from None
    if not isinstance(row, dict):
        raise _broken(raw, f"{type_name(row)}, not an object")
    return _checked(row, raw)


def is_whole(line: bytes) -> bool:
    """Whether a line without its newline is a whole JSON object all the same. No cut of an object is one."""
    return json_object(line.decode(errors="replace")) is not None


def is_json_lines(path: Path) -> bool:
    """Whether the name is that of a JSON-lines file, compressed or not."""
    return _JSON_NAME.search(path.name) is not None


def is_parquet(path: Path) -> bool:
    """Whether the name is that of a Parquet file."""
    return path.suffix.lower() == ".parquet"


def _broken(raw: bytes, fault: str) -> InputError:
    if raw.lstrip().startswith(b"["):
        return InputError(fault, remedy="write one object per line: jq -c '.[]' turns a JSON array into that")
    return InputError(fault, remedy="mend or remove the row")


def _checked(row: dict[str, Any], raw: bytes) -> dict[str, Any]:
    # Only an escape can smuggle half a surrogate pair past the UTF-8 decoder; no tokenizer takes one.
    if b"\\ud" in raw or b"\\uD" in raw:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise InputError("half a surrogate pair (\\ud…)", remedy="escape characters whole") from None
    return row


def _sources(path: Path) -> list[Path]:
    """The files, or the one dataset folder, that a path stands for."""
    if not path.exists():
        raise InputError("no such file or folder", remedy="give a path on this machine", file=path)
    if not path.is_dir():
        if is_json_lines(path) or is_parquet(path) or _is_csv(path):
            return [path]
        raise InputError("a file of unknown kind", remedy=f"use {READ_ENDINGS}", file=path)
    if (path / "dataset_dict.json").is_file():
        return [_only_split(path)]
    return [path] if (path / "state.json").is_file() else _shards(path)


def _only_split(folder: Path) -> Path:
    splits = sorted(state.parent for state in folder.glob("*/state.json"))
    if len(splits) != 1:
        names = ", ".join(str(split) for split in splits) or "none of them here"
        raise InputError(f"a dataset of {len(splits)} splits", remedy=f"name one: {names}", file=folder)
    return splits[0]


def shards_of(path: Path) -> list[Path]:
    """The data files of a folder, in the order of their names. Raises InputError for anything else."""
    if not path.is_dir():
        raise InputError("no folder of data files", file=path, remedy="give a folder, or leave the cluster out")
    return _shards(path)


def _shards(folder: Path) -> list[Path]:
    files = sorted(f for f in folder.iterdir() if f.is_file() and (is_json_lines(f) or is_parquet(f) or _is_csv(f)))
    shards = [f for f in files if not f.name.startswith((".", "_"))]
    if not shards:
        raise InputError("a folder without data files", remedy=f"name a dataset folder or {ENDINGS}", file=folder)
    splits = {found[0].lower() for f in shards if (found := _SPLIT_NAME.match(f.name))}
    if len(splits) > 1:
        fault = f"a folder with files of several splits ({', '.join(sorted(splits))})"
        raise InputError(fault, remedy=f"name one file, such as {shards[0]}", file=folder)
    return shards


def _source_rows(source: Path) -> Iterator[Row]:
    """A source's rows; whatever is wrong with the file as a whole becomes an InputError."""
    number = 0
    try:
        for number, raw in _numbered(source):
            yield Row(source, number, raw)
    # Of a damaged file: pyarrow raises nearly anything, zlib, csv and the decoders their own.
    except Exception as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        fault = f"cannot be read {f'beyond row {number}' if number else 'at all'}: {reason}"
        raise InputError(fault, remedy="is it whole, and what its name says?", file=source) from error


def _numbered(source: Path) -> Iterator[tuple[int, bytes | dict[str, Any]]]:
    if source.is_dir():
        return enumerate(dataset_rows(source), start=1)
    if _is_csv(source):
        return _csv_rows(source)
    return enumerate(parquet_rows(source), start=1) if is_parquet(source) else _lines(source)


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows below a header, each with the line of the file that it ends on. Raises ValueError for a row of another
    length than the header: a comma too many would move every value behind it."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        csv.field_size_limit(LONGEST_LINE)  # of the whole process: csv knows no other; a thinking is a long cell
        reader = csv.reader(stream, strict=True)
        header = next(reader, [])
        if twice := [name for name in header if name and header.count(name) > 1]:
            raise ValueError(f"two columns are named {twice[0]!r}")
        for cells in reader:
            if cells and len(cells) != len(header):
                raise ValueError(f"line {reader.line_num} has {len(cells)} cells, the header {len(header)}")
            if cells:
                yield reader.line_num, dict(zip(header, cells, strict=True))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers in the file, as an editor shows them; blank ones are no rows."""
    with _opened(path) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE + 1), b""), start=1):
            if len(line) > LONGEST_LINE:  # a small archive may hold one that fills the memory
                raise ValueError(f"line {number} is longer than {LONGEST_LINE >> 20} MiB")
            if not line.isspace():
                yield number, line


def _opened(path: Path) -> BinaryIO:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if suffix == ".zst":
        import pyarrow as pa

        # Arrow's zstd, because the zstandard package ends without an error where a file was cut.
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"), buffer_size=1 << 20)
    return path.open("rb", buffering=1 << 20)
