"""Where the verbs on traces write: never over what they read, and what the disk refuses is told in one line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from titer.errors import InputError
from titer.records.writing import disk_faults
from titer.store import write_text


def refuse_overwriting(outputs: Iterable[str | Path], inputs: Iterable[str | Path | None]) -> None:
    """Raises InputError for an output that is one of the inputs, or would join the files of one that is a folder."""
    # realpath: Path.resolve raises where links go in a circle
    read = {Path(os.path.realpath(file)) for file in inputs if file}
    for output in outputs:
        place = Path(os.path.realpath(output))
        if place in read or place.parent in read:
            what = "this is" if place in read else "its folder is"
            raise InputError(f"{what} the input too", file=output, remedy="name another place for the result")


def write_result(file: Path, text: str) -> None:
    """Write a result whole or not at all. Raises InputError where the disk takes no file."""
    with disk_faults(file):
        write_text(file, text)
