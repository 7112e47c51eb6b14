"""The one error that means "your input is wrong": a place, a fault and a remedy, on one line.

`harmless` makes such a line, which quotes what stands in files, safe to print.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# control characters, lone surrogates, and what turns the direction of the text behind it
_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """`text` on one line, with a space for each character that a terminal would obey or could not be given."""
    return _OBEYED.sub(" ", text)


def escaped(json_text: str) -> str:
    r"""JSON in which those characters are escaped, as `\u009b`: the same to whoever parses it."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


class InputError(Exception):
    """Input that titer refuses. The command line prints it on one line and exits with status 2.

    >>> print(InputError("no answer", file="p.jsonl", row=3, field="answer", remedy="add the field"))
    p.jsonl, row 3, field 'answer': no answer; add the field
    """

    def __init__(
        self,
        fault: str,
        *,
        remedy: str,
        file: str | Path | None = None,
        row: int | None = None,
        field: str | None = None,
    ) -> None:
        """`row` counts from 1, as an editor shows it. `remedy` says what the user can do."""
        self.fault = fault
        self.remedy = remedy
        self.file = None if file is None else str(file)
        self.row = row
        self.field = field
        super().__init__(fault)

    def __reduce__(self) -> tuple[Any, ...]:
        """It crosses processes; pickled, an exception is made again of its positional arguments, here one."""
        return _made_again, (self.fault, self.remedy, self.file, self.row, self.field)

    def __str__(self) -> str:
        place = [
            *([self.file] if self.file else []),
            *([f"row {self.row}"] if self.row is not None else []),
            *([f"field {self.field!r}"] if self.field else []),
        ]
        head = ", ".join(place)
        line = f"{head}: {self.fault}; {self.remedy}" if head else f"{self.fault}; {self.remedy}"
        return " ".join(line.split())


# what reading a file of another form than it should have raises
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


@contextmanager
def reading(file: str | Path, *, remedy: str, by: str = "titer") -> Iterator[None]:
    """Around what reads a file that `by` wrote: a file of another form, half of one too, is an InputError.

    >>> with reading("choice.json", remedy="remove it"):
    ...     {}["objective"]
    Traceback (most recent call last):
    titer.errors.InputError: choice.json: is not as titer writes it (KeyError: 'objective'); remove it
    """
    try:
        yield
    except MALFORMED as error:
        fault = f"is not as {by} writes it ({type(error).__name__}: {str(error)[:100]})"
        raise InputError(fault, file=file, remedy=remedy) from error


def _made_again(fault: str, remedy: str, file: str | None, row: int | None, field: str | None) -> InputError:
    return InputError(fault, remedy=remedy, file=file, row=row, field=field)
