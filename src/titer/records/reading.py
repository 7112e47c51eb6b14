"""Problems, traces and rollouts out of files, one at a time.

    for problem in read_problems("gsm8k.jsonl.gz"): ...
    dropped = []
    for trace in read_traces("teachers/", on_bad="drop", dropped=dropped, truncated="bad"): ...
    done = {rollout.id for rollout in read_rollouts("rollouts.jsonl", torn="drop")}

A path is a file (.jsonl, .json or .ndjson, plain, .gz or .zst; .parquet), a Hugging Face dataset folder, or a
folder of such files. Memory holds one row or record batch, and a 64-bit hash per id to notice doubles (`seen`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from titer.errors import InputError
from titer.records.columns import PROBLEM_ID, is_missing
from titer.records.formats import Row, decoded, is_whole, raw_rows
from titer.records.parsing import parse_problem, parse_trace
from titer.records.rows import from_row
from titer.records.schema import Problem, Rollout, Trace
from titer.records.seen import Seen

OnBad = Literal["stop", "drop"]
R = TypeVar("R", Problem, Trace, Rollout)
T = TypeVar("T")


def read_problems(
    path: str | Path,
    *,
    on_bad: OnBad = "stop",
    dropped: list[InputError] | None = None,
    verifier: str = "math",
    check: Callable[[Problem], None] | None = None,
) -> Iterator[Problem]:
    """Yield the problems of a path. `verifier` is for rows that name none.

    The prompt may stand under prompt, problem, question, instruction, input or messages; the answer under answer,
    gold, final_answer, target or ground_truth, where GSM8K's `#### 72` gives 72. A row without id gets a hash of
    its prompt (`prompt_id`). Columns of no meaning here go into `meta`.

    Raises InputError at the first bad row, with file, row and field; `on_bad="drop"` appends it to `dropped`
    instead. `check` may raise InputError for more rows, which are then bad in the same way. A file that is missing,
    empty or damaged as a whole is raised either way.
    """

    def parse(row: dict[str, Any]) -> Problem:
        return _checked(parse_problem(row, verifier), check)

    return _read(Path(path), parse, "problem", on_bad, dropped)


def read_traces(
    path: str | Path,
    *,
    on_bad: OnBad = "stop",
    dropped: list[InputError] | None = None,
    truncated: Literal["keep", "bad"] = "keep",
    check: Callable[[Trace], None] | None = None,
) -> Iterator[Trace]:
    """Yield the traces of a path: messages, conversations, prompt/completion or problem/reasoning/response.

    Thinking is found inside the text (see `split_thinking`) or beside it under reasoning_content, reasoning or
    thinking. Messages before the last user turn go to `meta["earlier_messages"]`. A trace without problem id gets the
    `prompt_id` of its prompt, as a problem without id does. `truncated="bad"` makes a cut trace a bad row.
    For bad rows and `check` see `read_problems`.
    """

    def parse(row: dict[str, Any]) -> Trace:
        trace = parse_trace(row)
        if trace.truncated and truncated == "bad":
            fault = "the trace is truncated: its thinking never ends, or a length limit cut it"
            raise InputError(fault, remedy="drop it, or sample it again with a higher limit", field="truncated")
        return _checked(trace, check)

    return _read(Path(path), parse, "trace", on_bad, dropped)


def read_rollouts(path: str | Path, *, torn: Literal["stop", "drop"] = "stop") -> Iterator[Rollout]:
    """Yield the rollouts of a file that titer wrote.

    `torn="drop"` is for a file whose writer may have been killed: a last line that was not written to its end is
    left out, and a file without rows is no error. Raises InputError for every other fault.
    """
    for row in raw_rows(Path(path), empty_ok=torn == "drop"):
        if torn == "drop" and _is_torn(row.raw):
            return
        yield _placed(row, lambda raw: from_row(Rollout, raw))


def holds_any(file: Path) -> bool:
    """Whether a file is there and not empty: what was killed before its first row left nothing to read."""
    return file.exists() and file.stat().st_size > 0


def read_rows(path: str | Path, parse: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    """Yield what `parse` makes of each row of a path, for rows that are no record of titer's.

    An InputError that `parse` raises learns file and row. Raises InputError for a file that cannot be read.
    """
    for row in raw_rows(Path(path)):
        yield _placed(row, parse)


def _read(
    path: Path, parse: Callable[[dict[str, Any]], R], what: str, on_bad: OnBad, dropped: list[InputError] | None
) -> Iterator[R]:
    if on_bad == "drop" and dropped is None:
        raise ValueError('on_bad="drop" needs a list `dropped` to put the bad rows on')
    return _records(path, parse, what, dropped if on_bad == "drop" else None)


def _records(
    path: Path, parse: Callable[[dict[str, Any]], R], what: str, dropped: list[InputError] | None
) -> Iterator[R]:
    seen = Seen()

    def parse_new(row: dict[str, Any]) -> R:
        ids = PROBLEM_ID if what == "problem" else ("id",)
        record = parse(row)
        _refuse_double(record.id, what, seen, given=any(not is_missing(row.get(name)) for name in ids))
        return record

    for row in raw_rows(path):
        try:
            record = _placed(row, parse_new)
        except InputError as fault:
            if dropped is None:
                raise
            dropped.append(fault)
        else:
            yield record


def _checked(record: R, check: Callable[[R], None] | None) -> R:
    if check:
        check(record)
    return record


def _placed(row: Row, parse: Callable[[dict[str, Any]], T]) -> T:
    """Parse a row; an InputError on the way learns the row's place."""
    try:
        return parse(decoded(row.raw))
    except InputError as error:
        error.file, error.row = str(row.file), row.number
        raise


def _refuse_double(name: str, what: str, seen: Seen, *, given: bool) -> None:
    if seen.add(name):
        return
    if given:
        raise InputError(f"an earlier {what} has the id {name!r} too", remedy="give each its own", field="id")
    fault = f"the same {what} as in an earlier row, and no id to tell them apart"
    raise InputError(fault, remedy="remove one, or give each an id", field="id")


def _is_torn(raw: bytes | dict[str, Any]) -> bool:
    """Whether a line has neither its newline nor, at least, its whole object."""
    return isinstance(raw, bytes) and not raw.endswith(b"\n") and not is_whole(raw)
