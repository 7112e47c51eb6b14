"""Features of a file of traces of any size, on all cores, in constant memory.

if __name__ == "__main__":     # each of several processes begins by importing the script
    for rows in measure_stream(read_traces("traces.jsonl.zst"), workers=2):
        rows[0]["id"], rows[0]["propose_share"]
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.records import Trace
from titer.traces.features import BATCH, Table, measure_texts
from titer.traces.steps import text_of

AHEAD = 3  # batches in flight per worker, which bounds the memory

Row = dict[str, Any]


class Batch(NamedTuple):
    """Traces that are measured together: what names them, and their texts."""

    names: list[Row]
    texts: list[str]


def measure_stream(traces: Iterable[Trace], *, workers: int = 1) -> Iterator[list[Row]]:
    """Batches of rows in the order of the traces: id, problem_id, teacher, correct, and every feature.

    With several `workers`, so many processes measure while this one reads. Raises InputError where they cannot begin,
    as in a script that calls this outside of `if __name__ == "__main__"`.
    """
    batches = _batches(traces)
    if workers < 2:
        yield from (_rows(batch.names, measure_texts(batch.texts)) for batch in batches)
        return
    waiting: deque[tuple[list[Row], Future[Table]]] = deque()
    try:
        # spawn: a forked process would inherit locks of threads that it does not have
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for batch in batches:
                waiting.append((batch.names, pool.submit(measure_texts, batch.texts)))
                if len(waiting) >= AHEAD * workers:
                    names, done = waiting.popleft()
                    yield _rows(names, done.result())
            while waiting:
                names, done = waiting.popleft()
                yield _rows(names, done.result())
    except BrokenProcessPool:
        fault, remedy = "the processes that measure ended", 'call it below if __name__ == "__main__", or give workers=1'
        raise InputError(fault, field="workers", remedy=remedy) from None


def _batches(traces: Iterable[Trace]) -> Iterator[Batch]:
    batch, size = Batch([], []), 0
    for trace in traces:
        text = text_of(trace)
        batch.names.append(
            {"id": trace.id, "problem_id": trace.problem_id, "teacher": trace.teacher, "correct": trace.correct}
        )
        batch.texts.append(text)
        size += len(text)
        if size >= BATCH:
            yield batch
            batch, size = Batch([], []), 0
    if batch.texts:
        yield batch


def _rows(names: list[Row], table: Table) -> list[Row]:
    columns = {feature: column.tolist() for feature, column in table.items()}
    return [
        name | dict(zip(columns, values, strict=True))
        for name, values in zip(names, zip(*columns.values(), strict=True), strict=True)
    ]
