"""Files that appear whole or not at all.

write_text(path, text)      # temp file beside it, fsync, rename
publish(work, final)        # a finished folder takes its name in one step
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from titer.records.writing import replacing, sync_folder
from titer.store.layout import STAGE

HALF_PAIR = re.compile("[\ud800-\udfff]")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`; after a crash either the old or the new content stands there."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of indented JSON."""
    write_text(path, as_json(value, indent=2) + "\n")


def as_json(value: Any, *, indent: int | None = None) -> str:
    """JSON that UTF-8 can hold: readable, or, where there is half a surrogate pair in it, with escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return json.dumps(value, indent=indent) if HALF_PAIR.search(text) else text


def append_line(path: Path, value: Any) -> None:
    """Append one JSON line and force it to disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(as_json(value) + "\n")
        file.flush()
        os.fsync(file.fileno())


def publish(work: Path, final: Path) -> None:
    """Give a finished folder its final name; an older folder of that name gives way. Raises FileNotFoundError where
    there is none, and the older one stays."""
    if not work.is_dir():
        raise FileNotFoundError(work)
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    work.rename(final)
    sync_folder(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def drop_stage(folder: Path) -> None:
    """Remove a stage's folder, if it is there; what a kill leaves of it is no stage."""
    if folder.is_dir():
        (folder / STAGE).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
